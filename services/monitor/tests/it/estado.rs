//! `GET /monitor/status`, and what every endpoint does while the broker is away.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::json;
use taskq_worker::testing::TestBroker;
use tokio::net::TcpListener;

use crate::escenario::Escenario;

#[tokio::test]
async fn services_and_broker_are_told_by_name_also_when_some_are_down() {
    let broker = TestBroker::new();
    // A service that is well, in this process.
    let escucha = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let vivo = escucha.local_addr().unwrap().port();
    let app = servicio::aplicacion("vivo", axum::Router::new(), &[]);
    tokio::spawn(async move { axum::serve(escucha, app).await });
    let muerto = private_redis::free_port();
    let servicios = format!("vivo=http://127.0.0.1:{vivo},muerto=http://127.0.0.1:{muerto}");
    let escenario = Escenario::con(broker.client(), &servicios);

    let cuerpo = escenario.leer("/monitor/status").await;
    let servicios = &cuerpo["servicios"];
    assert_eq!(servicios.as_object().unwrap().len(), 2);
    assert_eq!(
        (&servicios["vivo"]["ok"], &servicios["vivo"]["error"]),
        (&json!(true), &json!(null))
    );
    assert!(servicios["vivo"]["ms"].is_number(), "{servicios}");
    assert_eq!(servicios["muerto"]["ok"], false);
    let error = servicios["muerto"]["error"].as_str().unwrap();
    assert!(error.contains(&muerto.to_string()), "{error}");
    let corredor = &cuerpo["broker"];
    assert_eq!(
        (&corredor["ok"], &corredor["nombre"], &corredor["avisos"]),
        (&json!(true), &json!("memory"), &json!([]))
    );
    assert!(corredor["version"].is_string() && corredor["ms"].is_number());
}

#[tokio::test]
async fn a_page_of_the_frontend_may_read_it() {
    let escenario = Escenario::sobre(&TestBroker::new());
    for ruta in ["/health", "/monitor/status"] {
        let respuesta = escenario.responder(ruta, "http://localhost:4200").await;
        let permitido = respuesta.headers().get("access-control-allow-origin");
        assert_eq!(permitido.unwrap(), "http://localhost:4200", "{ruta}");
        let ajena = escenario.responder(ruta, "http://otra.co").await;
        let permitido = ajena.headers().get("access-control-allow-origin");
        assert_ne!(
            permitido.and_then(|v| v.to_str().ok()),
            Some("http://otra.co")
        );
    }
}

/// Status is 200 and says what is wrong; what needs the broker is 503; what does not answers as ever. All in time.
async fn se_nota(escenario: &Escenario) {
    let inicio = Instant::now();
    let (estado, colas, workers) = tokio::join!(
        escenario.get("/monitor/status"),
        escenario.get("/monitor/queue"),
        escenario.get("/monitor/workers"),
    );
    assert!(
        // A machine may stand still for some seconds.
        inicio.elapsed() < servicio::PLAZO + Duration::from_secs(20),
        "{:?}",
        inicio.elapsed()
    );
    let (estado, cuerpo) = estado;
    assert_eq!(estado, StatusCode::OK);
    assert_eq!(cuerpo["broker"]["ok"], false, "{cuerpo}");
    assert!(!cuerpo["broker"]["error"].as_str().unwrap().is_empty());
    assert!(cuerpo["broker"]["version"].is_null(), "{cuerpo}");
    for (estado, cuerpo) in [colas, workers] {
        assert_eq!(estado, StatusCode::SERVICE_UNAVAILABLE, "{cuerpo}");
        let error = cuerpo["error"].as_str().unwrap();
        assert!(error.contains("broker"), "{error}");
    }
    for ruta in ["/health", "/monitor/actividad"] {
        assert_eq!(escenario.get(ruta).await.0, StatusCode::OK, "{ruta}");
    }
}

#[tokio::test]
async fn a_broker_that_is_away_is_told() {
    se_nota(&Escenario::sobre_redis(private_redis::free_port()).await).await;
}

#[tokio::test]
async fn a_broker_that_does_not_answer_is_told_in_time() {
    // It accepts connections and says nothing.
    let mudo = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let puerto = mudo.local_addr().unwrap().port();
    se_nota(&Escenario::sobre_redis(puerto).await).await;
}
