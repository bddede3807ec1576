//! What booking a delivery answers, and the rule behind its date.

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::entrega::Entrega;
use crate::fecha;

/// Distance covered per day of travel, in km.
const KM_POR_DIA: f64 = 400.0;

/// The outcome of a booked delivery; a repeat of the delivery gets the same one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resultado {
    /// The delivery.
    pub entrega_id: String,
    /// Great-circle distance from warehouse to destination in km, to 2 decimals.
    pub distancia_km: f64,
    /// Day of arrival: the day of the first booking (UTC), one day of handling, and one day of
    /// travel per started 400 km.
    #[serde(with = "fecha")]
    pub fecha_estimada: Date,
    /// Whether it arrives on or before the promised day.
    pub cumple_promesa: bool,
}

impl Resultado {
    /// The outcome of `entrega` when first booked on `hoy`.
    pub(crate) fn calcular(entrega: &Entrega, hoy: Date) -> Self {
        let km = entrega.origen().distancia_km(entrega.destino());
        let distancia_km = (km * 100.0).round() / 100.0;
        let fecha_estimada = hoy.saturating_add(dias(distancia_km).days());
        Self {
            entrega_id: entrega.entrega_id().to_owned(),
            distancia_km,
            fecha_estimada,
            cumple_promesa: fecha_estimada <= entrega.fecha_promesa(),
        }
    }
}

/// Days from booking to arrival. Takes the rounded distance, so that a reader of the result can
/// redo the sum.
fn dias(distancia_km: f64) -> i32 {
    // At most half the Earth's girth: 52 days.
    1 + (distancia_km / KM_POR_DIA).ceil() as i32
}

#[cfg(test)]
mod tests {
    use super::dias;

    #[test]
    fn one_day_of_handling_and_one_per_started_400_km() {
        let tabla = [
            (0.0, 1),
            (0.01, 2),
            (400.0, 2),
            (400.01, 3),
            (800.0, 3),
            (20_015.1, 52),
        ];
        for (km, esperados) in tabla {
            assert_eq!(dias(km), esperados, "{km} km");
        }
    }
}
