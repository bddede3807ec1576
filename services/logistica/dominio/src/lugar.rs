//! A city on the map.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::campos::Campos;
use crate::error::EntregaInvalida;

/// Mean radius of the Earth, in km.
const RADIO_KM: f64 = 6371.0088;

/// A city: a warehouse or the destination of a delivery. Its coordinates are valid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct Lugar {
    geonameid: u32,
    ciudad: String,
    lat: f64,
    lon: f64,
}

impl Lugar {
    /// The city's id in `GeoNames`.
    #[must_use]
    pub fn geonameid(&self) -> u32 {
        self.geonameid
    }

    /// The city's name.
    #[must_use]
    pub fn ciudad(&self) -> &str {
        &self.ciudad
    }

    /// Latitude in degrees, −90 to 90.
    #[must_use]
    pub fn lat(&self) -> f64 {
        self.lat
    }

    /// Longitude in degrees, −180 to 180.
    #[must_use]
    pub fn lon(&self) -> f64 {
        self.lon
    }

    /// Great-circle distance to another city in km, by the haversine formula.
    #[must_use]
    pub fn distancia_km(&self, otro: &Self) -> f64 {
        let (lat1, lat2) = (self.lat.to_radians(), otro.lat.to_radians());
        let mitad_lat = ((lat2 - lat1) / 2.0).sin();
        let mitad_lon = ((otro.lon - self.lon).to_radians() / 2.0).sin();
        let a = mitad_lat.powi(2) + lat1.cos() * lat2.cos() * mitad_lon.powi(2);
        // Rounding can push antipodes just past 1, where asin is not a number.
        2.0 * RADIO_KM * a.sqrt().min(1.0).asin()
    }

    /// Reads the object `nombre` strictly; `prefijo` precedes its field names in errors.
    pub(crate) fn leer(
        nombre: &'static str,
        prefijo: &'static str,
        valor: &Value,
    ) -> Result<Self, EntregaInvalida> {
        let campos = Campos::nuevo(
            nombre,
            prefijo,
            valor,
            &["geonameid", "ciudad", "lat", "lon"],
        )?;
        Ok(Self {
            geonameid: campos.entero("geonameid", 1..=u32::MAX)?,
            ciudad: campos.texto("ciudad")?.to_owned(),
            lat: campos.decimal("lat", "from -90 to 90", |n| n.abs() <= 90.0)?,
            lon: campos.decimal("lon", "from -180 to 180", |n| n.abs() <= 180.0)?,
        })
    }

    /// A city as the stock file keeps it, which took it from the inventory.
    pub(crate) fn guardado(geonameid: u32, ciudad: String, lat: f64, lon: f64) -> Self {
        Self {
            geonameid,
            ciudad,
            lat,
            lon,
        }
    }
}

impl TryFrom<Value> for Lugar {
    type Error = EntregaInvalida;

    fn try_from(valor: Value) -> Result<Self, EntregaInvalida> {
        Self::leer("lugar", "", &valor)
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use proptest::prelude::*;

    use super::{Lugar, RADIO_KM};

    fn en(lat: f64, lon: f64) -> Lugar {
        Lugar::guardado(1, "x".to_owned(), lat, lon)
    }

    #[test]
    fn known_distances() {
        let bogota = en(4.60971, -74.08175);
        assert!((bogota.distancia_km(&en(3.43054, -76.5199)) - 300.69).abs() < 0.5);
        let media_vuelta = RADIO_KM * PI;
        assert!((en(0.0, 0.0).distancia_km(&en(0.0, 180.0)) - media_vuelta).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn distance_is_a_symmetric_finite_number(
            lat1 in -90.0..=90.0, lon1 in -180.0..=180.0,
            lat2 in -90.0..=90.0, lon2 in -180.0..=180.0,
        ) {
            let (a, b) = (en(lat1, lon1), en(lat2, lon2));
            let d = a.distancia_km(&b);
            prop_assert!((0.0..=RADIO_KM * PI + 0.001).contains(&d));
            prop_assert!((d - b.distancia_km(&a)).abs() < 1e-6);
        }
    }
}
