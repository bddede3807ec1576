//! Strict reading of a JSON object: every field present, of its type, and no others.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::error::EntregaInvalida;

/// Longest text a delivery may carry, in characters.
pub(crate) const TEXTO_MAX: usize = 200;

/// How much of a refused value or key an error repeats, in characters.
const MUESTRA_MAX: usize = 40;

/// An object whose keys are known to be exactly the expected ones or fewer.
pub(crate) struct Campos<'a> {
    nombre: &'static str,
    prefijo: &'static str,
    objeto: &'a Map<String, Value>,
}

impl<'a> Campos<'a> {
    /// Takes `valor` as the object `nombre`; `prefijo` (`""` or `"destino."`) precedes field names.
    pub(crate) fn nuevo(
        nombre: &'static str,
        prefijo: &'static str,
        valor: &'a Value,
        conocidos: &[&str],
    ) -> Result<Self, EntregaInvalida> {
        let Value::Object(objeto) = valor else {
            let motivo = format!("{} is not an object; send one", mostrar(valor));
            return Err(EntregaInvalida::nueva(nombre, motivo));
        };
        if let Some(clave) = objeto.keys().find(|k| !conocidos.contains(&k.as_str())) {
            let motivo = format!(
                "unknown; remove it, the fields are {}",
                conocidos.join(", ")
            );
            return Err(EntregaInvalida::nueva(
                format!("{prefijo}{}", recortar(clave)),
                motivo,
            ));
        }
        Ok(Self {
            nombre,
            prefijo,
            objeto,
        })
    }

    /// Text that is not blank and has at most [`TEXTO_MAX`] characters.
    pub(crate) fn texto(&self, campo: &str) -> Result<&'a str, EntregaInvalida> {
        let valor = self.valor(campo)?;
        let Value::String(texto) = valor else {
            return Err(self.error(
                campo,
                format!("{} is not text; send a string", mostrar(valor)),
            ));
        };
        if texto.trim().is_empty() {
            return Err(self.error(campo, "is blank; send some text".to_owned()));
        }
        let largo = texto.chars().count();
        if largo > TEXTO_MAX {
            let motivo = format!("has {largo} characters; send at most {TEXTO_MAX}");
            return Err(self.error(campo, motivo));
        }
        Ok(texto)
    }

    /// A whole number in `rango`.
    pub(crate) fn entero(
        &self,
        campo: &str,
        rango: RangeInclusive<u32>,
    ) -> Result<u32, EntregaInvalida> {
        let valor = self.valor(campo)?;
        let numero = valor.as_u64().and_then(|n| u32::try_from(n).ok());
        numero.filter(|n| rango.contains(n)).ok_or_else(|| {
            let (desde, hasta) = rango.into_inner();
            let motivo = format!(
                "{} is not a whole number from {desde} to {hasta}; send one",
                mostrar(valor)
            );
            self.error(campo, motivo)
        })
    }

    /// A finite number that `vale` accepts; `cual` says which those are.
    pub(crate) fn decimal(
        &self,
        campo: &str,
        cual: &str,
        vale: impl Fn(f64) -> bool,
    ) -> Result<f64, EntregaInvalida> {
        let valor = self.valor(campo)?;
        let numero = valor.as_f64().filter(|n| n.is_finite() && vale(*n));
        numero.ok_or_else(|| {
            let motivo = format!("{} is not a number {cual}; send one", mostrar(valor));
            self.error(campo, motivo)
        })
    }

    pub(crate) fn valor(&self, campo: &str) -> Result<&'a Value, EntregaInvalida> {
        self.objeto
            .get(campo)
            .ok_or_else(|| self.error(campo, format!("missing from {}; add it", self.nombre)))
    }

    pub(crate) fn error(&self, campo: &str, motivo: String) -> EntregaInvalida {
        EntregaInvalida::nueva(format!("{}{campo}", self.prefijo), motivo)
    }
}

/// A value as an error shows it: short, and never an object's or array's content.
pub(crate) fn mostrar(valor: &Value) -> String {
    match valor {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::String(texto) => format!("\"{}\"", recortar(texto)),
        Value::Null | Value::Bool(_) | Value::Number(_) => valor.to_string(),
    }
}

/// The start of `texto` with control characters escaped.
pub(crate) fn recortar(texto: &str) -> String {
    let corto: String = texto.chars().take(MUESTRA_MAX).collect();
    let puntos = if corto.len() < texto.len() { "…" } else { "" };
    format!("{}{puntos}", corto.escape_debug())
}
