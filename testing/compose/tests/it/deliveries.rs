//! Deliveries: sent over HTTP, waited for, and counted against the stock.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use compose::{Fleet, get, post};
use logistica_dominio::Almacen;
use serde_json::Value;

/// No wait of a test is longer; what takes longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

const LINES: &str = include_str!("../../../../services/logistica/dominio/data/entregas.jsonl");
const STOCK: &str = include_str!("../../../../services/logistica/dominio/data/inventario.jsonl");

/// The first deliveries of the file, one JSON object a line.
pub(crate) fn deliveries(many: usize) -> Vec<&'static str> {
    let lines: Vec<_> = LINES.lines().take(many).collect();
    assert_eq!(lines.len(), many);
    lines
}

/// Sends them; each is accepted. The ids of their tasks.
pub(crate) fn send(fleet: &Fleet, lines: &[&str]) -> Vec<String> {
    let address = fleet.address("logistica", 5002);
    let ids = lines.iter().map(|line| {
        let body = format!(r#"{{"tarea":"logistica.procesar_entrega","parametros":{line}}}"#);
        let answer = post(&address, "/tareas", &body).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.body["task_id"].as_str().unwrap().to_owned()
    });
    ids.collect()
}

/// How many of them have not ended.
pub(crate) fn owed(fleet: &Fleet, ids: &[String]) -> usize {
    let address = fleet.address("logistica", 5002);
    let ended = |id: &&String| {
        let answer = get(&address, &format!("/tareas/{id}")).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        !answer.body["terminada"].is_null()
    };
    ids.len() - ids.iter().filter(ended).count()
}

/// Waits until all have ended, each as SUCCESS.
pub(crate) fn all_succeed(fleet: &Fleet, ids: &[String]) {
    let address = fleet.address("logistica", 5002);
    for id in ids {
        let path = format!("/tareas/{id}");
        let answer = until("a delivery has ended", || {
            let answer = get(&address, &path).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.body);
            (!answer.body["terminada"].is_null()).then_some(answer)
        });
        assert_eq!(answer.body["estado"], "SUCCESS", "{}", answer.body);
    }
}

/// Each of `lines` is booked once: what is left of every stock line is what it began with, less what they ask for.
pub(crate) fn stock_adds_up(fleet: &Fleet, lines: &[&str]) {
    let stock = Almacen::abrir(fleet.volume("datos").join("logistica.db")).unwrap();
    let report = stock.validar(None).unwrap();
    assert_eq!(report.hallazgos.as_slice(), []);
    assert_eq!(usize::try_from(report.reservas), Ok(lines.len()));

    let line = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    let mut left: BTreeMap<(String, u64), i64> = BTreeMap::new();
    for stock in STOCK.lines().map(line) {
        let place = stock["bodega"]["geonameid"].as_u64().unwrap();
        let many = stock["existencias"].as_i64().unwrap();
        left.insert((stock["sku"].as_str().unwrap().to_owned(), place), many);
    }
    for delivery in lines.iter().map(|text| line(text)) {
        let place = delivery["origen"]["geonameid"].as_u64().unwrap();
        let key = (delivery["sku"].as_str().unwrap().to_owned(), place);
        *left.get_mut(&key).unwrap() -= delivery["cantidad"].as_i64().unwrap();
    }
    let address = fleet.address("logistica", 5002);
    let mut told = BTreeMap::new();
    let mut products: Vec<_> = left.keys().map(|(sku, _)| sku.clone()).collect();
    products.dedup();
    for sku in products {
        let answer = get(&address, &format!("/inventario/{sku}")).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        for line in answer.body["bodegas"].as_array().unwrap() {
            let place = line["bodega"]["geonameid"].as_u64().unwrap();
            told.insert((sku.clone(), place), line["existencias"].as_i64().unwrap());
        }
    }
    assert_eq!(told, left);
}

/// Asks until there is an answer.
pub(crate) fn until<T>(what: &str, mut asked: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = asked() {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
