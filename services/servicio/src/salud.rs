//! `--check`: asks the service that listens here whether it is well, for images that have no curl.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Longest time that `--check` takes, names and connection included: 2 s.
pub const REVISION_MAX: Duration = Duration::from_secs(2);

/// How much of an answer is read, in bytes: its first line is in there.
const LEIDO_MAX: u64 = 512;

/// The service at `host` and `puerto` is not well; its text says why and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unhealthy: {0}")]
pub struct Enferma(String);

/// Asks `GET /health` of the service that listens on `host` and `puerto`, and answers a line that says it is well.
///
/// `host` is what the service was told to listen on: where that is every interface, 127.0.0.1 (or `::1`) is asked. Blocks, for
/// at most [`REVISION_MAX`].
///
/// # Errors
/// [`Enferma`] if nothing listens there, what listens does not answer in time, or its answer is not 200.
///
/// # Example
/// ```
/// let enferma = servicio::revisar("127.0.0.1", 0).unwrap_err();
/// assert!(enferma.to_string().starts_with("unhealthy: port 0 is no address"));
/// ```
pub fn revisar(host: &str, puerto: u16) -> Result<String, Enferma> {
    revisar_en(host, puerto, REVISION_MAX)
}

fn revisar_en(host: &str, puerto: u16, espera: Duration) -> Result<String, Enferma> {
    if puerto == 0 {
        let remedio = "port 0 is no address: give the port it listens on with --port (env PORT)";
        return Err(Enferma(remedio.to_owned()));
    }
    let host = a_quien(host).to_owned();
    let sitio = if host.contains(':') {
        format!("http://[{host}]:{puerto}/health")
    } else {
        format!("http://{host}:{puerto}/health")
    };
    let inicio = Instant::now();
    let hasta = inicio + espera;
    // Looking up a name has no deadline of its own; the thread ends with the process.
    let (dice, respuesta) = mpsc::channel();
    thread::spawn(move || {
        // Nobody listens any more when the time is over.
        drop(dice.send(preguntar(&host, puerto, hasta)));
    });
    match respuesta.recv_timeout(espera) {
        Ok(Ok(linea)) if es_200(&linea) => Ok(format!(
            "healthy: {sitio} answers 200 after {} ms",
            inicio.elapsed().as_millis()
        )),
        Ok(Ok(linea)) => Err(Enferma(format!(
            "{sitio} answers {:?} instead of 200",
            linea.chars().take(60).collect::<String>()
        ))),
        Ok(Err(error)) if !fuera_de_plazo(&error) => Err(Enferma(format!("{sitio}: {error}"))),
        Ok(Err(_)) | Err(_) => Err(Enferma(format!(
            "{sitio} has not answered within {} s",
            espera.as_secs_f32()
        ))),
    }
}

/// Where a service is asked that listens on `host`.
fn a_quien(host: &str) -> &str {
    match host.trim_start_matches('[').trim_end_matches(']') {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        otro => otro,
    }
}

/// The first line of the answer.
fn preguntar(host: &str, puerto: u16, hasta: Instant) -> io::Result<String> {
    let mut socket = conectar(host, puerto, hasta)?;
    socket.set_read_timeout(Some(queda(hasta)?))?;
    socket.set_write_timeout(Some(queda(hasta)?))?;
    let peticion =
        format!("GET /health HTTP/1.1\r\nHost: {host}:{puerto}\r\nConnection: close\r\n\r\n");
    socket.write_all(peticion.as_bytes())?;
    // What comes in drops is cut off by the one who waits for this thread.
    let mut linea = Vec::new();
    BufReader::new(socket.take(LEIDO_MAX)).read_until(b'\n', &mut linea)?;
    Ok(String::from_utf8_lossy(&linea).trim_end().to_owned())
}

/// The first of the host's addresses that takes the connection.
fn conectar(host: &str, puerto: u16, hasta: Instant) -> io::Result<TcpStream> {
    let direcciones: Vec<SocketAddr> = (host, puerto).to_socket_addrs()?.collect();
    let mut ultimo = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for direccion in direcciones {
        match TcpStream::connect_timeout(&direccion, queda(hasta)?) {
            Ok(socket) => return Ok(socket),
            Err(error) => ultimo = error,
        }
    }
    Err(ultimo)
}

fn queda(hasta: Instant) -> io::Result<Duration> {
    hasta
        .checked_duration_since(Instant::now())
        .filter(|resto| !resto.is_zero())
        .ok_or_else(|| io::ErrorKind::TimedOut.into())
}

fn fuera_de_plazo(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    )
}

fn es_200(linea: &str) -> bool {
    let mut palabras = linea.split(' ');
    palabras.next().is_some_and(|v| v.starts_with("HTTP/1.")) && palabras.next() == Some("200")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    use super::{REVISION_MAX, a_quien, revisar, revisar_en};

    /// For answers that come, on a machine that stands still now and then.
    const LARGA: Duration = Duration::from_secs(60);

    /// Listens, reads one request, answers `respuesta`; the port.
    fn contestar(respuesta: &'static str) -> (u16, thread::JoinHandle<String>) {
        let escucha = TcpListener::bind("127.0.0.1:0").unwrap();
        let puerto = escucha.local_addr().unwrap().port();
        let hilo = thread::spawn(move || {
            let (mut socket, _) = escucha.accept().unwrap();
            let mut leido = [0; 1024];
            let largo = socket.read(&mut leido).unwrap();
            socket.write_all(respuesta.as_bytes()).unwrap();
            String::from_utf8_lossy(&leido[..largo]).into_owned()
        });
        (puerto, hilo)
    }

    #[test]
    fn who_listens_everywhere_is_asked_at_home() {
        for (host, aqui) in [
            ("0.0.0.0", "127.0.0.1"),
            ("::", "::1"),
            ("[::]", "::1"),
            ("127.0.0.2", "127.0.0.2"),
            ("localhost", "localhost"),
            ("[fe80::1]", "fe80::1"),
        ] {
            assert_eq!(a_quien(host), aqui, "{host}");
        }
    }

    #[test]
    fn a_200_is_well_and_anything_else_is_not() {
        let (puerto, hilo) =
            contestar("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
        let linea = revisar_en("0.0.0.0", puerto, LARGA).unwrap();
        let sitio = format!("http://127.0.0.1:{puerto}/health answers 200");
        assert!(
            linea.contains(&sitio) && linea.starts_with("healthy: "),
            "{linea}"
        );
        assert!(hilo.join().unwrap().starts_with("GET /health HTTP/1.1\r\n"));

        for otra in [
            "HTTP/1.1 503 Service Unavailable\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "200 200 200\r\n",
            "-ERR unknown command\r\n",
            "",
        ] {
            let (puerto, hilo) = contestar(otra);
            let error = revisar_en("127.0.0.1", puerto, LARGA).unwrap_err();
            let error = error.to_string();
            assert!(error.contains("instead of 200"), "{otra:?}: {error}");
            hilo.join().unwrap();
        }
    }

    #[test]
    fn nobody_there_is_not_well() {
        // A port that was free a moment ago may be another test's now.
        let error = revisar("127.0.0.1", 1).unwrap_err().to_string();
        assert!(error.starts_with("unhealthy: http://127.0.0.1:"), "{error}");
        let error = revisar("127.0.0.1", 0).unwrap_err().to_string();
        assert!(error.contains("--port"), "{error}");
    }

    #[test]
    fn who_takes_the_connection_and_says_nothing_is_given_up() {
        // The kernel takes the connection; nobody ever reads it, as with a process that is stopped.
        let escucha = TcpListener::bind("127.0.0.1:0").unwrap();
        let puerto = escucha.local_addr().unwrap().port();
        let corta = Duration::from_millis(50);
        let error = revisar_en("127.0.0.1", puerto, corta).unwrap_err();
        assert!(error.to_string().contains("within 0.05 s"), "{error}");
    }

    #[test]
    fn an_answer_without_end_is_not_kept() {
        let escucha = TcpListener::bind("127.0.0.1:0").unwrap();
        let puerto = escucha.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut socket, _) = escucha.accept().unwrap();
            while socket.write_all(&[b'H'; 4096]).is_ok() {}
        });
        let error = revisar_en("127.0.0.1", puerto, LARGA).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("instead of 200"), "{error:.200}");
    }

    #[test]
    fn an_answer_in_drops_does_not_stretch_the_time() {
        let escucha = TcpListener::bind("127.0.0.1:0").unwrap();
        let puerto = escucha.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut socket, _) = escucha.accept().unwrap();
            // Each drop is in time for the read before it; it ends when the asker has gone.
            while socket.write_all(b"H").is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
        });
        let corta = Duration::from_millis(200);
        let error = revisar_en("127.0.0.1", puerto, corta).unwrap_err();
        assert!(error.to_string().contains("within 0.2 s"), "{error}");
        assert_eq!(REVISION_MAX, Duration::from_secs(2));
    }
}
