//! The service while its broker is away, or is there and does not answer.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use logistica::PLAZO;
use taskq_client::Client;
use tokio::net::TcpListener;

use crate::datos::{entregas, pedido};
use crate::escenario::Escenario;

async fn con_corredor_en(puerto: u16) -> Escenario {
    let url = format!("redis://127.0.0.1:{puerto}/0");
    let cliente = Client::builder().send_deadline(PLAZO).connect(&url).await;
    Escenario::con(|_| cliente.unwrap())
}

/// Every endpoint that needs the broker answers 503 in time; the others answer as ever.
async fn se_nota(escenario: &Escenario) {
    let entrega = pedido(entregas().next().unwrap());
    let id = "/tareas/0193f3a0-0000-7000-8000-000000000000";
    let antes = Instant::now();
    let (lista, envio, estado) = tokio::join!(
        escenario.get("/tareas"),
        escenario.post(&entrega),
        escenario.get(id)
    );
    assert!(
        // Without a deadline of ours it would be a client's, 30 s; a machine may stand still for some.
        antes.elapsed() < PLAZO + Duration::from_secs(20),
        "{:?}",
        antes.elapsed()
    );
    for (estado, cuerpo) in [lista, envio, estado] {
        assert_eq!(estado, StatusCode::SERVICE_UNAVAILABLE, "{cuerpo}");
        assert!(
            cuerpo["error"].as_str().unwrap().contains("broker"),
            "{cuerpo}"
        );
    }
    let (estado, _) = escenario.post(&pedido("{}")).await;
    assert_eq!(
        estado,
        StatusCode::BAD_REQUEST,
        "a bad delivery is bad whether or not there is a broker"
    );
    for ruta in ["/health", "/inventario/PROD001"] {
        assert_eq!(escenario.get(ruta).await.0, StatusCode::OK, "{ruta}");
    }
}

#[tokio::test]
async fn a_broker_that_is_away_is_503() {
    let puerto = private_redis::free_port();
    se_nota(&con_corredor_en(puerto).await).await;
}

#[tokio::test]
async fn a_broker_that_does_not_answer_is_503_in_time() {
    // It accepts connections and says nothing.
    let mudo = TcpListener::bind("127.0.0.1:0").await.unwrap();
    se_nota(&con_corredor_en(mudo.local_addr().unwrap().port()).await).await;
}
