//! `GET /monitor/queue`.

use std::time::Duration;

use serde_json::{Value, json};
use taskq_client::{Client, SendOptions, Signature};
use taskq_worker::testing::TestBroker;

use crate::escenario::{Escenario, tarjeta};

async fn enviar(cliente: &Client, cola: &str, espera: Option<Duration>) {
    let mut opciones = SendOptions::default().queue(cola);
    if let Some(espera) = espera {
        opciones = opciones.countdown(espera);
    }
    cliente.send_by_name("x", (), (), opciones).await.unwrap();
}

#[tokio::test]
async fn each_queue_is_told_with_what_lies_in_it() {
    let broker = TestBroker::new();
    let cliente = broker.client();
    for _ in 0..3 {
        enviar(&cliente, "logistica", None).await;
    }
    enviar(&cliente, "logistica", Some(Duration::from_secs(3_600))).await;
    enviar(&cliente, "pausada", None).await;
    let pausada = "pausada".parse().unwrap();
    cliente
        .pause(&pausada, "ana", "el banco no responde")
        .await
        .unwrap();
    // It listens at a queue that nobody has sent to.
    let (backend, vive) = (broker.backend(), tarjeta("w1@prueba"));
    backend
        .register(&vive, &[], Duration::from_secs(60))
        .await
        .unwrap();

    let cuerpo = Escenario::sobre(&broker).leer("/monitor/queue").await;
    assert_eq!(cuerpo["omitidas"], 0);
    let colas = cuerpo["colas"].as_object().unwrap();
    let nombres: Vec<_> = colas.keys().collect();
    assert_eq!(nombres, ["celery", "logistica", "monitor", "pausada"]);
    let mut logistica = colas["logistica"].clone();
    assert!(logistica["oldest_ms"].is_u64(), "{logistica}");
    logistica["oldest_ms"] = Value::Null;
    let esperada = json!({
        "waiting": 3, "delayed": 1, "in_flight": 0, "dead": 0, "oldest_ms": null, "paused": false, "workers": 0
    });
    assert_eq!(logistica, esperada);
    assert_eq!(colas["pausada"]["paused"], true);
    assert_eq!(colas["monitor"]["workers"], 1);
}

#[tokio::test]
async fn what_died_is_counted() {
    let broker = TestBroker::new();
    // Nobody knows a task of this name: it ends in the dead set.
    let nadie = Signature::<()>::by_name("nadie.la.conoce").queue("celery");
    broker.client().send(nadie).await.unwrap();
    broker.drain_all().await;
    let cuerpo = Escenario::sobre(&broker).leer("/monitor/queue").await;
    assert_eq!(cuerpo["colas"]["celery"]["dead"], 1, "{cuerpo}");
    assert_eq!(cuerpo["colas"]["celery"]["oldest_ms"], Value::Null);
}

#[tokio::test]
async fn without_queues_there_are_none() {
    let cuerpo = Escenario::sobre(&TestBroker::new())
        .leer("/monitor/queue")
        .await;
    assert_eq!(cuerpo, json!({"colas": {}, "omitidas": 0}));
}

/// Only Redis has keys that somebody else may have written.
#[tokio::test]
async fn a_queue_that_can_not_be_read_hides_no_other() {
    let redis = private_redis::RedisServer::start();
    let cliente = Client::connect(&redis.url()).await.unwrap();
    for cola in ["buena", "mala"] {
        enviar(&cliente, cola, None).await;
    }
    let claves = redis.keys();
    let clave = claves
        .iter()
        .find(|clave| clave.contains("{mala}:ready"))
        .unwrap();
    assert_eq!(redis.command(&format!("DEL {clave}")), ":1");
    assert_eq!(redis.command(&format!("SET {clave} x")), "+OK");
    let cuerpo = Escenario::con(cliente, "").leer("/monitor/queue").await;
    assert_eq!(cuerpo["colas"]["buena"]["waiting"], 1, "{cuerpo}");
    let error = cuerpo["colas"]["mala"]["error"].as_str().unwrap();
    assert!(error.contains("mala"), "{error}");
}
