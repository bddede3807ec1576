//! One HTTP/1.1 connection that is kept open from request to request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// No answer takes longer; one that does has failed.
const PACIENCIA: Duration = Duration::from_secs(30);

pub(crate) struct Conexion {
    socket: BufReader<TcpStream>,
}

impl Conexion {
    pub(crate) fn nueva(direccion: &str) -> Self {
        let socket = TcpStream::connect(direccion).unwrap();
        socket.set_read_timeout(Some(PACIENCIA)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self {
            socket: BufReader::new(socket),
        }
    }

    pub(crate) fn get(&mut self, ruta: &str) -> (u16, Value) {
        self.pedir("GET", ruta, "")
    }

    pub(crate) fn post(&mut self, ruta: &str, cuerpo: &str) -> (u16, Value) {
        self.pedir("POST", ruta, cuerpo)
    }

    fn pedir(&mut self, metodo: &str, ruta: &str, cuerpo: &str) -> (u16, Value) {
        let largo = cuerpo.len();
        let peticion = format!(
            "{metodo} {ruta} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {largo}\r\n\r\n{cuerpo}"
        );
        self.socket
            .get_mut()
            .write_all(peticion.as_bytes())
            .unwrap();
        let estado = self.linea();
        let estado = estado.split(' ').nth(1).unwrap().parse().unwrap();
        let mut largo = 0;
        loop {
            let cabecera = self.linea();
            if cabecera.is_empty() {
                break;
            }
            let (nombre, valor) = cabecera.split_once(':').unwrap();
            if nombre.eq_ignore_ascii_case("content-length") {
                largo = valor.trim().parse().unwrap();
            }
        }
        let mut cuerpo = vec![0; largo];
        self.socket.read_exact(&mut cuerpo).unwrap();
        (estado, serde_json::from_slice(&cuerpo).unwrap())
    }

    fn linea(&mut self) -> String {
        let mut linea = String::new();
        assert_ne!(
            self.socket.read_line(&mut linea).unwrap(),
            0,
            "the service hung up"
        );
        linea.trim_end().to_owned()
    }
}
