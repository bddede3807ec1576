//! The deliveries: those of the logistics service, which carries them in its repository.

use serde::{Deserialize, Serialize};
use taskq_examples::Fault;

/// City names and coordinates are those of `GeoNames`, CC BY 4.0.
const LINES: &str = include_str!("../../services/logistica/dominio/data/entregas.jsonl");
/// So many of them are delivered.
const DELIVERIES: usize = 3_000;
/// The one that nobody can deliver.
const IMPOSSIBLE: usize = 1_234;

/// A parcel on its way from a warehouse to a city.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Delivery {
    #[serde(rename = "entrega_id")]
    pub(crate) id: String,
    #[serde(rename = "cantidad")]
    pub(crate) units: u32,
    #[serde(rename = "origen")]
    pub(crate) from: City,
    #[serde(rename = "destino")]
    pub(crate) to: City,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct City {
    #[serde(rename = "ciudad")]
    pub(crate) city: String,
    lat: f64,
    lon: f64,
}

pub(crate) fn deliveries() -> Result<Vec<Delivery>, Fault> {
    let lines = LINES.lines().take(DELIVERIES);
    let mut deliveries: Vec<Delivery> =
        lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
    if let Some(delivery) = deliveries.get_mut(IMPOSSIBLE) {
        delivery.units = 0;
    }
    Ok(deliveries)
}

impl Delivery {
    /// Whether its receiver wants to be told: one of five does.
    pub(crate) fn is_told(&self) -> bool {
        self.number().is_multiple_of(5)
    }

    fn number(&self) -> u32 {
        number_of(&self.id)
    }

    /// The way in kilometres, as the crow flies.
    pub(crate) fn kilometres(&self) -> f64 {
        let (a, b) = (self.from.lat.to_radians(), self.to.lat.to_radians());
        let east = (self.to.lon - self.from.lon).to_radians();
        let h = ((b - a) / 2.0).sin().powi(2) + a.cos() * b.cos() * (east / 2.0).sin().powi(2);
        2.0 * 6_371.0 * h.sqrt().asin()
    }
}

/// The number in an id such as `ENT-000042`.
pub(crate) fn number_of(id: &str) -> u32 {
    id.rsplit('-')
        .next()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_default()
}
