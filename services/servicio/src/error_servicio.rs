//! Why a service cannot start or go on.

use std::io;

/// A failure that ends the service; its text is for the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorServicio {
    /// The address cannot be listened on.
    #[error("cannot listen on {direccion}: {fuente}; {remedio}")]
    Escucha {
        /// Host and port.
        direccion: String,
        /// What the operator can do.
        remedio: &'static str,
        /// What the system said.
        #[source]
        fuente: io::Error,
    },
    /// The process cannot handle signals.
    #[error("cannot handle SIGTERM and Ctrl-C: {0}; raise the process's limits")]
    Senales(#[source] io::Error),
    /// The listening socket failed.
    #[error("the HTTP server failed: {0}; start the service again")]
    Servidor(#[source] io::Error),
}

impl ErrorServicio {
    pub(crate) fn escucha(direccion: String, fuente: io::Error) -> Self {
        let remedio = match fuente.kind() {
            io::ErrorKind::AddrInUse => {
                "stop the program that uses the port or choose another with --port (env PORT)"
            }
            io::ErrorKind::PermissionDenied => "choose a port above 1023 with --port (env PORT)",
            _ => "choose an address of this machine with --host (env HOST)",
        };
        Self::Escucha {
            direccion,
            remedio,
            fuente,
        }
    }
}
