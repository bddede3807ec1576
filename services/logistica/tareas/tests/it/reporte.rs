//! The report, as a worker runs it and by hand.

use std::time::Duration;

use logistica_dominio::Almacen;
use logistica_tareas::{Logistica, SistemaBodega, generar_reporte};
use serde_json::{Value, json};
use taskq_core::Context;
use taskq_core::message::Message;
use taskq_core::task::{State, Surroundings};
use taskq_worker::testing::TestBroker;
use tokio_util::sync::CancellationToken;

use crate::taller::{llamar, taller};
use crate::tareas::{PROCESAR, entrega, fallo_definitivo, resultado};

const REPORTE: &str = "logistica.generar_reporte";

#[taskq_worker::test(worker = taller(0.0))]
async fn without_days_it_covers_all_that_was_booked(broker: TestBroker) {
    resultado(&llamar(&broker, PROCESAR, &entrega(2)).await);
    let reporte = resultado(&llamar(&broker, REPORTE, &json!({})).await);
    assert_eq!(
        [
            &reporte["entregas"],
            &reporte["unidades"],
            &reporte["kilometros"]
        ],
        [&json!(1), &json!(2), &json!(300.55)]
    );
    let bodegas = reporte["bodegas"].as_array().unwrap();
    let bogota = bodegas.iter().find(|b| b["bodega"]["ciudad"] == "Bogotá");
    assert_eq!(bogota.unwrap()["kilometros"], 300.55);
}

#[taskq_worker::test(worker = taller(0.0))]
async fn days_that_can_not_be_covered_fail_at_once(broker: TestBroker) {
    for parametros in [
        json!({"desde": "ayer"}),
        json!({"hasta": "2026-13-01"}),
        json!({"desde": "2026-11-02", "hasta": "2026-11-01"}),
        json!({"desde": "2020-01-01"}),
    ] {
        let registro = llamar(&broker, REPORTE, &parametros).await;
        fallo_definitivo(&registro, "PeriodoInvalido");
    }
}

/// However far it gets before it is cut off, its progress is that of the day it was at.
#[test]
fn each_day_is_a_step_of_its_progress() {
    let carpeta = tempfile::tempdir().unwrap();
    let almacen = Almacen::abrir(carpeta.path().join("logistica.db")).unwrap();
    let compartido = Logistica::nueva(almacen, SistemaBodega::nuevo(0.0, Duration::ZERO));
    let parar = CancellationToken::new();
    let mut entorno = Surroundings::new("logistica".parse().unwrap(), "w1@prueba");
    entorno.cancelled = parar.clone();
    entorno.state = State::default().with(compartido);
    let contexto = Context::new(&Message::new(REPORTE), entorno);
    let corre = std::thread::spawn({
        let contexto = contexto.clone();
        move || {
            let dias = ("2025-11-01".to_owned(), "2026-11-01".to_owned());
            generar_reporte(contexto, Some(dias.0), Some(dias.1))
        }
    });
    while contexto.last_progress().is_none_or(|p| p.done == 0) && !corre.is_finished() {
        std::thread::yield_now();
    }
    parar.cancel();
    let fin = corre.join().unwrap();
    let progreso = contexto.last_progress().expect("it told how far it was");
    assert_eq!(progreso.total, 366);
    let dia = |n: u64| {
        let primero = jiff::civil::date(2025, 11, 1);
        let dias = jiff::Span::new().days(i64::try_from(n).unwrap());
        primero.checked_add(dias).unwrap().to_string()
    };
    match fin {
        Ok(reporte) => assert_eq!((progreso.done, reporte.dias), (366, 366)),
        Err(error) => {
            assert_eq!(progreso.note, Some(dia(progreso.done)));
            let siguiente = dia(progreso.done + 1);
            assert_eq!(
                error.failure().message,
                format!("cancelled before {siguiente}")
            );
        }
    }
}

#[test]
fn a_run_that_no_longer_counts_ends_between_two_days() {
    let carpeta = tempfile::tempdir().unwrap();
    let almacen = Almacen::abrir(carpeta.path().join("logistica.db")).unwrap();
    let compartido = Logistica::nueva(almacen, SistemaBodega::nuevo(0.0, Duration::ZERO));
    let parar = CancellationToken::new();
    let mensaje = Message::new(REPORTE);
    let mut entorno = Surroundings::new("logistica".parse().unwrap(), "w1@prueba");
    entorno.cancelled = parar.clone();
    entorno.state = State::default().with(compartido);
    let contexto = Context::new(&mensaje, entorno);
    let dias = || (Some("2026-11-01".to_owned()), Some("2026-11-30".to_owned()));
    let (desde, hasta) = dias();
    let reporte = generar_reporte(contexto.clone(), desde, hasta).unwrap();
    assert_eq!(
        serde_json::to_value(&reporte).unwrap()["dias"],
        Value::from(30)
    );
    let progreso = contexto.last_progress().unwrap();
    assert_eq!((progreso.done, progreso.total), (30, 30));
    parar.cancel();
    let (desde, hasta) = dias();
    let error = generar_reporte(contexto, desde, hasta).unwrap_err();
    assert_eq!(error.failure().message, "cancelled before 2026-11-01");
}
