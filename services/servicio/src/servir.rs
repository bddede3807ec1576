//! From a bound port to the end of service.

use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;

use crate::error_servicio::ErrorServicio;
use crate::parada::Parada;

/// Longest time that running requests get to finish after the order to stop: 5 s.
pub const DRENAJE_MAX: Duration = Duration::from_secs(5);

/// Starts to listen on `host` (an address or a name) and `puerto`; 0 takes any free port.
///
/// # Errors
/// [`ErrorServicio::Escucha`], with the address and the remedy.
pub async fn escuchar(host: &str, puerto: u16) -> Result<TcpListener, ErrorServicio> {
    TcpListener::bind((host, puerto))
        .await
        .map_err(|fuente| ErrorServicio::escucha(format!("{host}:{puerto}"), fuente))
}

/// Serves `app` until `parada`, and logs the address it really listens on.
///
/// At the first order it takes no new connections and gives running requests up to
/// [`DRENAJE_MAX`]; at a second order it returns at once. Requests cut off that way end with the
/// runtime, so a main should return right after this.
///
/// # Errors
/// [`ErrorServicio::Servidor`] if the socket fails.
pub async fn servir(
    escucha: TcpListener,
    app: Router,
    parada: &Parada,
) -> Result<(), ErrorServicio> {
    servir_con(escucha, app, parada, DRENAJE_MAX).await
}

async fn servir_con(
    escucha: TcpListener,
    app: Router,
    parada: &Parada,
    drenaje: Duration,
) -> Result<(), ErrorServicio> {
    let direccion = escucha.local_addr().map_err(ErrorServicio::Servidor)?;
    tracing::info!("listening on http://{direccion}");
    let orden = parada.clone();
    let servidor = axum::serve(escucha, app)
        .with_graceful_shutdown(async move { orden.pedida().await })
        .into_future();
    tokio::select! {
        // First, so that a server that has finished is not reported as cut off.
        biased;
        fin = servidor => {
            fin.map_err(ErrorServicio::Servidor)?;
            tracing::info!("stopped");
        }
        () = parada.inmediata() => tracing::warn!("stopped at once: running requests were cut off"),
        () = plazo(parada, drenaje) => tracing::warn!(
            "stopped: requests still running after {} s were cut off",
            drenaje.as_secs_f32()
        ),
    }
    Ok(())
}

async fn plazo(parada: &Parada, drenaje: Duration) {
    parada.pedida().await;
    tokio::time::sleep(drenaje).await;
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpStream;
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::{escuchar, servir_con};
    use crate::parada::Parada;

    /// Serves one request that never ends, gives `ordenes` orders, and waits for the end: whether it came within `espera`.
    async fn parar_con_peticion_colgada(
        ordenes: usize,
        drenaje: Duration,
        espera: Duration,
    ) -> bool {
        let (entro, mut entrada) = mpsc::channel(1);
        let colgada = get(move || {
            let entro = entro.clone();
            async move {
                entro.send(()).await.unwrap();
                pending::<()>().await;
            }
        });
        let escucha = escuchar("127.0.0.1", 0).await.unwrap();
        let mut cliente = TcpStream::connect(escucha.local_addr().unwrap())
            .await
            .unwrap();
        cliente
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let parada = Parada::nueva();
        let ordenante = parada.clone();
        let servicio = async {
            let app = Router::new().route("/", colgada);
            servir_con(escucha, app, &parada, drenaje).await.unwrap();
        };
        let orden = async {
            entrada.recv().await.unwrap();
            (0..ordenes).for_each(|_| ordenante.pedir());
        };
        let todo = async { tokio::join!(servicio, orden) };
        timeout(espera, todo).await.is_ok()
    }

    #[tokio::test]
    async fn a_request_that_never_ends_holds_up_the_stop_only_so_long() {
        let (corto, largo) = (Duration::from_millis(50), Duration::from_secs(3_600));
        assert!(parar_con_peticion_colgada(1, corto, Duration::from_secs(60)).await);
        assert!(!parar_con_peticion_colgada(1, largo, Duration::from_secs(1)).await);
    }

    #[tokio::test]
    async fn a_second_order_does_not_wait() {
        let largo = Duration::from_secs(3_600);
        assert!(parar_con_peticion_colgada(2, largo, Duration::from_secs(60)).await);
    }
}
