//! The warehouse system that a delivery is announced to: simulated.

use std::ffi::OsString;
use std::time::Duration;

use crate::ajustes::{self, AjusteInvalido};

const LATENCIA_MS: u64 = 20;
const LATENCIA_MS_MAX: u64 = 60_000;

/// A stand-in for the system of the warehouses: it takes its time, and now and then is away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SistemaBodega {
    fallo: f64,
    latencia: Duration,
}

/// The warehouse system could not be reached; the next attempt may find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the warehouse system is not reachable (simulated, see LOGISTICA_FAULT_RATE)")]
pub struct BodegaInalcanzable;

impl SistemaBodega {
    /// A system that is away for the share `fallo` of all attempts (0 to 1; what lies outside
    /// counts as the nearer end, what is no number as 0) and takes `latencia` to answer.
    #[must_use]
    pub fn nuevo(fallo: f64, latencia: Duration) -> Self {
        Self { fallo, latencia }
    }

    /// The system as the settings say: `LOGISTICA_FAULT_RATE`, a share from 0 to 1 (default 0),
    /// and `LOGISTICA_LATENCY_MS`, whole milliseconds up to 60,000 (default 20).
    ///
    /// # Errors
    /// [`AjusteInvalido::Valor`] names the setting and its range.
    pub fn desde(valor: &impl Fn(&str) -> Option<OsString>) -> Result<Self, AjusteInvalido> {
        let fallo = ajustes::leer(
            "LOGISTICA_FAULT_RATE",
            valor,
            0.0,
            "a share from 0 to 1, such as 0.2",
            |f| (0.0..=1.0).contains(f),
        )?;
        let latencia = ajustes::leer(
            "LOGISTICA_LATENCY_MS",
            valor,
            LATENCIA_MS,
            "whole milliseconds from 0 to 60000",
            |ms| *ms <= LATENCIA_MS_MAX,
        )?;
        Ok(Self::nuevo(fallo, Duration::from_millis(latencia)))
    }

    /// Announces a delivery.
    pub(crate) async fn anunciar(&self) -> Result<(), BodegaInalcanzable> {
        tokio::time::sleep(self.latencia).await;
        // random() is below 1, so a share of 1 fails always and one of 0 never.
        if rand::random::<f64>() < self.fallo {
            return Err(BodegaInalcanzable);
        }
        Ok(())
    }
}
