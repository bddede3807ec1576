//! Asking one service how it is: `GET /health` over plain HTTP/1.1, on a connection of its own.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::servicios::Servicio;

/// How long a service, or the broker, has for its whole answer: 2 s.
pub const PLAZO: Duration = Duration::from_secs(2);

/// The longest answer that is read, in bytes.
const CUERPO_MAX: usize = 64 * 1024;

/// The longest head of an answer that is read, in bytes.
const CABECERA_MAX: usize = 16 * 1024;

/// Asks; well is who answers 200 with a JSON object. Takes as long as the service does: the caller sets the deadline.
pub(crate) async fn pedir(servicio: &Servicio) -> Result<(), String> {
    let Servicio {
        sitio,
        host,
        puerto,
        camino,
        ..
    } = servicio;
    let socket = TcpStream::connect((host.as_str(), *puerto)).await;
    let socket = socket.map_err(|error| {
        format!("no connection to {sitio}: {error}; start it, or correct its address")
    })?;
    let sin_http = |error: hyper::Error| format!("{sitio} does not answer HTTP: {error}");
    let (mut pedidos, conexion) = http1::Builder::new()
        .max_buf_size(CABECERA_MAX)
        .handshake(TokioIo::new(socket))
        .await
        .map_err(sin_http)?;
    // Ends with this question, however that ends.
    let _conexion = AbortOnDropHandle::new(tokio::spawn(conexion));
    let peticion = Request::get(camino)
        .header(HOST, sitio)
        .header(ACCEPT, "application/json")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("{camino} can not be asked for: {error}"))?;
    let respuesta = pedidos.send_request(peticion).await.map_err(sin_http)?;
    juzgar(respuesta, camino).await
}

async fn juzgar(respuesta: Response<Incoming>, camino: &str) -> Result<(), String> {
    let estado = respuesta.status();
    if estado != StatusCode::OK {
        return Err(format!("it answers {estado} at {camino}"));
    }
    let cuerpo = Limited::new(respuesta.into_body(), CUERPO_MAX)
        .collect()
        .await
        .map_err(|error| format!("its answer at {camino} can not be read: {error}"))?
        .to_bytes();
    match serde_json::from_slice(&cuerpo) {
        Ok(Value::Object(_)) => Ok(()),
        _ => Err(format!("its answer at {camino} is no JSON object")),
    }
}
