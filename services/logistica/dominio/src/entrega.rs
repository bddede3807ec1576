//! A delivery and its rules.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::campos::{Campos, mostrar, recortar};
use crate::catalogo;
use crate::error::EntregaInvalida;
use crate::fecha;
use crate::lugar::Lugar;

const CAMPOS: [&str; 8] = [
    "entrega_id",
    "sku",
    "producto",
    "cantidad",
    "peso_kg",
    "origen",
    "destino",
    "fecha_promesa",
];
const ID_MAX: usize = 64;
const CANTIDAD_MAX: u32 = 10_000;

/// A delivery of one product from a warehouse to a city; every value of this type obeys the rules.
///
/// It serialises to exactly the eight fields it is read from, the keyword arguments of the task.
/// Reading it with serde applies the same rules as [`Entrega::desde_valor`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct Entrega {
    entrega_id: String,
    sku: String,
    producto: String,
    cantidad: u32,
    peso_kg: f64,
    origen: Lugar,
    destino: Lugar,
    #[serde(with = "fecha")]
    fecha_promesa: Date,
}

impl Entrega {
    /// Reads a delivery from a JSON object.
    ///
    /// All eight fields are required and no others allowed, in `origen` and `destino` too:
    /// `entrega_id` 1–64 of `A-Z a-z 0-9 . _ -`; `sku` in the inventory; texts at most 200
    /// characters; `cantidad` 1–10,000 units; `peso_kg` above 0; coordinates in degrees;
    /// `origen` a warehouse that stocks the product; `fecha_promesa` a real day as `YYYY-MM-DD`.
    ///
    /// # Errors
    /// The first broken rule, naming the field.
    pub fn desde_valor(valor: &Value) -> Result<Self, EntregaInvalida> {
        let campos = Campos::nuevo("entrega", "", valor, &CAMPOS)?;
        let entrega = Self {
            entrega_id: leer_id(&campos)?,
            sku: leer_sku(&campos)?,
            producto: campos.texto("producto")?.to_owned(),
            cantidad: campos.entero("cantidad", 1..=CANTIDAD_MAX)?,
            peso_kg: campos.decimal("peso_kg", "above 0", |n| n > 0.0)?,
            origen: Lugar::leer("origen", "origen.", campos.valor("origen")?)?,
            destino: Lugar::leer("destino", "destino.", campos.valor("destino")?)?,
            fecha_promesa: leer_promesa(&campos)?,
        };
        entrega.comprobar_origen()?;
        Ok(entrega)
    }

    /// What identifies the delivery; a repeat carries the same id.
    #[must_use]
    pub fn entrega_id(&self) -> &str {
        &self.entrega_id
    }

    /// The product.
    #[must_use]
    pub fn sku(&self) -> &str {
        &self.sku
    }

    /// Units to deliver, 1–10,000.
    #[must_use]
    pub fn cantidad(&self) -> u32 {
        self.cantidad
    }

    /// The warehouse it leaves from.
    #[must_use]
    pub fn origen(&self) -> &Lugar {
        &self.origen
    }

    /// The city it goes to.
    #[must_use]
    pub fn destino(&self) -> &Lugar {
        &self.destino
    }

    /// The day by which it was promised.
    #[must_use]
    pub fn fecha_promesa(&self) -> Date {
        self.fecha_promesa
    }

    fn comprobar_origen(&self) -> Result<(), EntregaInvalida> {
        let id = self.origen.geonameid();
        if catalogo::de_sku(&self.sku).any(|linea| linea.bodega.geonameid() == id) {
            return Ok(());
        }
        let bodegas: Vec<String> = catalogo::de_sku(&self.sku)
            .map(|l| format!("{} ({})", l.bodega.geonameid(), l.bodega.ciudad()))
            .collect();
        let motivo = format!(
            "{id} is no warehouse that stocks {}; use one of {}",
            self.sku,
            bodegas.join(", ")
        );
        Err(EntregaInvalida::nueva("origen.geonameid", motivo))
    }
}

impl TryFrom<Value> for Entrega {
    type Error = EntregaInvalida;

    fn try_from(valor: Value) -> Result<Self, EntregaInvalida> {
        Self::desde_valor(&valor)
    }
}

fn leer_id(campos: &Campos<'_>) -> Result<String, EntregaInvalida> {
    let id = campos.texto("entrega_id")?;
    let vale = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if id.len() <= ID_MAX && id.bytes().all(vale) {
        return Ok(id.to_owned());
    }
    let motivo = format!(
        "\"{}\" is no delivery id; send 1 to {ID_MAX} letters A-Z a-z, digits, dots, underscores or hyphens",
        recortar(id)
    );
    Err(campos.error("entrega_id", motivo))
}

fn leer_sku(campos: &Campos<'_>) -> Result<String, EntregaInvalida> {
    let sku = campos.texto("sku")?;
    if catalogo::de_sku(sku).next().is_some() {
        return Ok(sku.to_owned());
    }
    let motivo = format!(
        "\"{}\" is not in the inventory; send one of its products, such as PROD001",
        recortar(sku)
    );
    Err(campos.error("sku", motivo))
}

fn leer_promesa(campos: &Campos<'_>) -> Result<Date, EntregaInvalida> {
    let valor = campos.valor("fecha_promesa")?;
    valor.as_str().and_then(fecha::leer).ok_or_else(|| {
        let motivo = format!(
            "{} is no day of the calendar; send YYYY-MM-DD",
            mostrar(valor)
        );
        campos.error("fecha_promesa", motivo)
    })
}
