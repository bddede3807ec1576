//! One HTTP/1.1 connection that is kept open from request to request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::respuesta::partes;

/// No answer takes longer; one that does has failed.
const PACIENCIA: Duration = Duration::from_secs(30);

/// A connection to a service.
#[derive(Debug)]
pub struct Conexion {
    socket: BufReader<TcpStream>,
}

impl Conexion {
    /// To the service at `host:port`.
    ///
    /// # Panics
    /// When nobody listens there.
    #[must_use]
    pub fn nueva(direccion: &str) -> Self {
        let socket = TcpStream::connect(direccion).expect("a service that listens");
        let espera = socket.set_read_timeout(Some(PACIENCIA));
        espera
            .and_then(|()| socket.set_nodelay(true))
            .expect("a socket");
        Self {
            socket: BufReader::new(socket),
        }
    }

    /// Status and body of the answer to `GET ruta`.
    ///
    /// # Panics
    /// As [`pedir`](Self::pedir).
    pub fn get(&mut self, ruta: &str) -> (u16, Value) {
        self.pedir(&format!("GET {ruta}"), "")
    }

    /// The same for a `POST` of JSON.
    ///
    /// # Panics
    /// As [`pedir`](Self::pedir).
    pub fn post(&mut self, ruta: &str, cuerpo: &str) -> (u16, Value) {
        self.pedir(&format!("POST {ruta}"), cuerpo)
    }

    /// The same for `que`, as `PUT /tareas`, or `POST /tareas text/plain` where the body is not to be sent as JSON.
    ///
    /// # Panics
    /// When the service hangs up, or the answer is no JSON.
    pub fn pedir(&mut self, que: &str, cuerpo: &str) -> (u16, Value) {
        let (metodo, ruta, tipo) = partes(que);
        let largo = cuerpo.len();
        let peticion = format!(
            "{metodo} {ruta} HTTP/1.1\r\nHost: x\r\nContent-Type: {tipo}\r\nContent-Length: {largo}\r\n\r\n{cuerpo}"
        );
        let enviada = self.socket.get_mut().write_all(peticion.as_bytes());
        enviada.expect("a service that reads");
        let linea = self.linea();
        let estado = linea.split(' ').nth(1).and_then(|n| n.parse().ok());
        let mut largo = 0;
        loop {
            let cabecera = self.linea();
            if cabecera.is_empty() {
                break;
            }
            let (nombre, valor) = cabecera.split_once(':').expect("a header");
            if nombre.eq_ignore_ascii_case("content-length") {
                largo = valor.trim().parse().expect("a length");
            }
        }
        let mut cuerpo = vec![0; largo];
        let leido = self.socket.read_exact(&mut cuerpo);
        leido.expect("an answer to its end");
        let valor = serde_json::from_slice(&cuerpo);
        let valor = valor.unwrap_or_else(|_| {
            let texto = String::from_utf8_lossy(&cuerpo);
            panic!("{que} is answered with no JSON: {linea}: {texto}")
        });
        (estado.expect("a status"), valor)
    }

    fn linea(&mut self) -> String {
        let mut linea = String::new();
        let leido = self.socket.read_line(&mut linea);
        assert!(leido.is_ok_and(|n| n > 0), "the service hung up");
        linea.trim_end().to_owned()
    }
}
