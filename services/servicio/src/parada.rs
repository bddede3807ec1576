//! The order to stop, which comes in two steps.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error_servicio::ErrorServicio;

/// The order to stop: the first asks to finish what runs, the second to end at once.
///
/// Clones share the order. Handlers that stream for long should watch
/// [`Parada::pedida`] and end, or they hold up the stop.
#[derive(Debug, Clone, Default)]
pub struct Parada {
    ordenada: CancellationToken,
    inmediata: CancellationToken,
}

impl Parada {
    /// An order that only [`Parada::pedir`] gives.
    #[must_use]
    pub fn nueva() -> Self {
        Self::default()
    }

    /// An order that SIGTERM and Ctrl-C give too; call it once, inside the tokio runtime.
    ///
    /// # Errors
    /// [`ErrorServicio::Senales`] if the system refuses a handler.
    pub fn por_senales() -> Result<Self, ErrorServicio> {
        let term = signal(SignalKind::terminate()).map_err(ErrorServicio::Senales)?;
        let int = signal(SignalKind::interrupt()).map_err(ErrorServicio::Senales)?;
        let parada = Self::nueva();
        tokio::spawn(escuchar_senales(parada.clone(), term, int));
        Ok(parada)
    }

    /// Gives the order: the first call to stop in good order, the second at once.
    pub fn pedir(&self) {
        if self.ordenada.is_cancelled() {
            self.inmediata.cancel();
        } else {
            self.ordenada.cancel();
        }
    }

    /// Waits for the first order.
    pub async fn pedida(&self) {
        self.ordenada.cancelled().await;
    }

    /// Waits for the second order.
    pub async fn inmediata(&self) {
        self.inmediata.cancelled().await;
    }
}

async fn escuchar_senales(parada: Parada, mut term: Signal, mut int: Signal) {
    loop {
        let nombre = tokio::select! {
            Some(()) = term.recv() => "SIGTERM",
            Some(()) = int.recv() => "Ctrl-C",
            else => return,
        };
        // The order first: a log that nobody reads any more must not keep the service alive.
        parada.pedir();
        tracing::info!(signal = nombre, "asked to stop");
    }
}
