//! Services that are well, and all the ways in which one is not.

use std::time::Instant;

use monitor_dominio::{Corredor, Estado, EstadoServicio, PLAZO, Servicios};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that says `respuesta` to each who connects, and then `sigue`s or hangs up.
async fn servidor(respuesta: Vec<u8>, sigue: bool) -> u16 {
    let escucha = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let puerto = escucha.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (socket, _) = escucha.accept().await.unwrap();
            tokio::spawn(atender(socket, respuesta.clone(), sigue));
        }
    });
    puerto
}

async fn atender(mut socket: TcpStream, respuesta: Vec<u8>, sigue: bool) {
    let mut pedido = Vec::new();
    while !pedido.ends_with(b"\r\n\r\n") {
        let mut trozo = [0; 1_024];
        match socket.read(&mut trozo).await {
            Ok(n @ 1..) => pedido.extend_from_slice(&trozo[..n]),
            _ => return,
        }
    }
    // Who asked may have hung up: that is not this server's trouble.
    drop(socket.write_all(&respuesta).await);
    if sigue {
        std::future::pending::<()>().await;
    }
}

fn http(estado: &str, cuerpo: &str) -> Vec<u8> {
    let largo = cuerpo.len();
    format!("HTTP/1.1 {estado}\r\ncontent-length: {largo}\r\n\r\n{cuerpo}").into_bytes()
}

async fn preguntar(puerto: u16) -> EstadoServicio {
    let servicios: Servicios = format!("uno=http://127.0.0.1:{puerto}").parse().unwrap();
    let corredor = async { Ok(Corredor::default()) };
    let mut estado = Estado::preguntar(&servicios, corredor).await;
    estado.servicios.remove("uno").unwrap()
}

async fn mal(puerto: u16, motivo: &str) {
    let estado = preguntar(puerto).await;
    let error = estado.error.unwrap();
    assert!(!estado.ok && error.contains(motivo), "{motivo}: {error}");
}

#[tokio::test]
async fn who_answers_200_with_an_object_is_well() {
    let sano = http("200 OK", r#"{"status":"ok","service":"logistica"}"#);
    let estado = preguntar(servidor(sano, false).await).await;
    assert!(estado.ok && estado.error.is_none(), "{estado:?}");
    let trozos = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    assert!(preguntar(servidor(trozos.to_vec(), true).await).await.ok);
}

#[tokio::test]
async fn who_is_not_well_is_told_with_what_is_wrong() {
    // A port that was free a moment ago may be another test's now.
    mal(1, "no connection to 127.0.0.1:").await;
    let quinientos = http("500 Internal Server Error", "{}");
    mal(servidor(quinientos, false).await, "it answers 500").await;
    let movido = b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n";
    mal(servidor(movido.to_vec(), false).await, "it answers 302").await;
    let basura = b"\x00\x01 this is no HTTP \xff\r\n\r\n";
    mal(
        servidor(basura.to_vec(), true).await,
        "does not answer HTTP",
    )
    .await;
    mal(servidor(Vec::new(), false).await, "does not answer HTTP").await;
    for otro in ["[]", "ok", "", r#"{"status":"#] {
        mal(
            servidor(http("200 OK", otro), false).await,
            "no JSON object",
        )
        .await;
    }
    let cortado = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{";
    mal(servidor(cortado.to_vec(), false).await, "can not be read").await;
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let largo = http("200 OK", &format!("{{{}}}", " ".repeat(70_000)));
    mal(servidor(largo, true).await, "can not be read").await;
    let cabecera = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(70_000));
    mal(
        servidor(cabecera.into_bytes(), true).await,
        "does not answer HTTP",
    )
    .await;
}

/// Together they take as long as the slowest: the deadline, which counts for the whole answer.
#[tokio::test]
async fn those_that_hang_are_told_within_the_deadline_all_at_once() {
    let mudo = servidor(Vec::new(), true).await;
    let a_medias = servidor(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec(), true).await;
    let sin_cuerpo = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec();
    let sin_cuerpo = servidor(sin_cuerpo, true).await;
    let puertos = [mudo, a_medias, sin_cuerpo];
    let todos = (0..12).map(|n| format!("s{n}=http://127.0.0.1:{}", puertos[n % 3]));
    let servicios: Servicios = todos.collect::<Vec<_>>().join(",").parse().unwrap();
    let inicio = Instant::now();
    let corredor = async { Err("away".to_owned()) };
    let estado = Estado::preguntar(&servicios, corredor).await;
    // One after the other the twelve would take 24 s.
    assert!(inicio.elapsed() < 10 * PLAZO);
    assert_eq!(estado.servicios.len(), 12);
    for servicio in estado.servicios.values() {
        assert_eq!(servicio.error.as_deref(), Some("no answer within 2 s"));
        assert!(servicio.ms >= 2_000.0, "{servicio:?}");
    }
    assert_eq!(estado.broker.error.as_deref(), Some("away"));
}
