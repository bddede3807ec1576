//! The proof: 5,000 deliveries over HTTP, 20 % of all attempts fail, one of two workers is killed in
//! the middle, and everything adds up.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use logistica_dominio::Almacen;
use programas::{Conexion, PACIENCIA, Proceso, esperar};
use serde_json::Value;

use crate::datos::{entregas, inventario, malas, pedido};
use crate::procesos::Planta;

const TAREA: &str = "logistica.procesar_entrega";
const CONEXIONES: usize = 16;

/// How long workers are waited for, in s: the machine is busy here. Who has answered is waited for no longer.
const T: &str = "30";

/// How many deliveries are booked when the worker is killed.
const EN_MEDIO: i64 = 1_500;

/// A delivery that was accepted, and the task it became.
struct Enviada {
    entrega_id: String,
    task_id: String,
}

#[test]
fn a_worker_killed_in_the_middle_of_5000_deliveries_loses_none_and_books_none_twice() {
    prueba(&Planta::sobre_redis());
}

#[test]
fn over_one_file_a_killed_worker_loses_none_of_5000_deliveries_and_books_none_twice() {
    prueba(&Planta::sobre_un_archivo());
}

fn prueba(planta: &Planta) {
    let almacen = Almacen::abrir(planta.almacen()).unwrap();
    let _queda = planta.worker("queda@prueba", "5");
    let mut victima = planta.worker("victima@prueba", "100");
    esperar("both workers are live", || {
        let dicho = planta.taskq(&["inspect", "ping", "-t", T, "--json"]);
        let nodos: Value = serde_json::from_slice(&dicho.stdout).ok()?;
        (nodos.as_object()?.len() == 2).then_some(())
    });

    let inicio = Instant::now();
    let (enviadas, muerte) = thread::scope(|hilos| {
        let posts = hilos.spawn(|| enviar_todas(planta));
        esperar("the middle", || {
            (almacen.validar(None).unwrap().reservas >= EN_MEDIO).then_some(())
        });
        se_ve_lo_que_corre(planta);
        let muerte = matar_con_algo(planta, &mut victima);
        let reservas = almacen.validar(None).unwrap().reservas;
        assert!(
            reservas < 5_000,
            "the worker was killed too late to prove anything"
        );
        eprintln!("killed a worker with {reservas} deliveries booked");
        (posts.join().unwrap(), muerte)
    });
    let terminadas = esperar_todas(planta, &enviadas);

    let ultima = terminadas
        .iter()
        .map(|t| instante(&t["terminada"]))
        .max()
        .unwrap();
    let muerte = Timestamp::try_from(muerte).unwrap();
    eprintln!(
        "the last of 5,000 ended {:.2} s after the kill; {:.1} s in all",
        ultima.duration_since(muerte).as_secs_f64(),
        inicio.elapsed().as_secs_f64(),
    );
    let suma = |campo: &str| {
        terminadas
            .iter()
            .map(|t| t[campo].as_u64().unwrap())
            .sum::<u64>()
    };
    eprintln!(
        "{} attempts, {} crashes charged",
        suma("attempts"),
        suma("crashes")
    );
    assert!(
        suma("attempts") > 5_500,
        "a fifth of the attempts should have failed"
    );
    assert!(
        suma("crashes") > 0,
        "what the killed worker held was charged to nobody"
    );
    let trabajadores: BTreeSet<_> = terminadas
        .iter()
        .map(|t| t["worker"].as_str().unwrap())
        .collect();
    assert_eq!(
        trabajadores.into_iter().collect::<Vec<_>>(),
        ["queda@prueba", "victima@prueba"]
    );

    cuadra(planta, &almacen);
    las_malas_no_cambian_nada(planta, &almacen);
}

/// Posts all deliveries over some connections at once.
fn enviar_todas(planta: &Planta) -> Vec<Enviada> {
    let pendientes = Mutex::new(entregas());
    let enviar = || {
        let mut conexion = Conexion::nueva(&planta.direccion);
        let mut enviadas = Vec::new();
        loop {
            let Some(linea) = pendientes.lock().unwrap().next() else {
                return enviadas;
            };
            let (estado, cuerpo) = conexion.post("/tareas", &pedido(linea));
            assert_eq!(
                (estado, &cuerpo["estado"]),
                (202, &"QUEUED".into()),
                "{cuerpo}"
            );
            let entrega: Value = serde_json::from_str(linea).unwrap();
            enviadas.push(Enviada {
                entrega_id: texto(&entrega["entrega_id"]),
                task_id: texto(&cuerpo["task_id"]),
            });
        }
    };
    let enviadas = en_paralelo(enviar);
    let distintas: BTreeSet<_> = enviadas.iter().map(|e| &e.task_id).collect();
    assert_eq!((enviadas.len(), distintas.len()), (5_000, 5_000));
    enviadas
}

/// `taskq inspect active` lists what both workers run, as JSON and as a table.
fn se_ve_lo_que_corre(planta: &Planta) {
    esperar("inspect active --json lists both workers' tasks", || {
        let dicho = planta.taskq(&["inspect", "active", "-t", T, "--json"]);
        let nodos: Value = serde_json::from_str(&salida(&dicho)).ok()?;
        let nodos = nodos.as_object()?;
        assert_eq!(
            nodos.keys().collect::<Vec<_>>(),
            ["queda@prueba", "victima@prueba"]
        );
        for tareas in nodos.values() {
            let tarea = tareas.as_array()?.first()?;
            assert_eq!(
                (&tarea["name"], &tarea["queue"]),
                (&TAREA.into(), &"logistica".into())
            );
            assert!(
                tarea["kwargs"]["entrega_id"].as_str()?.starts_with("ENT-"),
                "{tarea}"
            );
            assert!(
                tarea["attempt"].as_u64()? >= 1 && tarea["runtime_s"].is_number(),
                "{tarea}"
            );
        }
        Some(())
    });
    let tabla = esperar("inspect active shows a table", || {
        let tabla = salida(&planta.taskq(&["inspect", "active", "-t", T]));
        tabla.contains(TAREA).then_some(tabla)
    });
    let titulos: Vec<_> = tabla.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(
        titulos,
        ["WORKER", "TASK", "ID", "ARGS", "QUEUE", "ATTEMPT", "FOR"]
    );
    eprintln!("{}", tabla.lines().take(3).collect::<Vec<_>>().join("\n"));
}

/// Kills a worker that certainly holds deliveries: it is frozen first, and then some of what it
/// said it runs must still have no answer.
fn matar_con_algo(planta: &Planta, victima: &mut Proceso) -> SystemTime {
    let mut conexion = Conexion::nueva(&planta.direccion);
    esperar("the victim holds something", || {
        let orden = ["inspect", "active", "-d", "victima@prueba"];
        let activas = planta.taskq(&[&orden[..], &["-t", T, "--json"]].concat());
        let activas: Value = serde_json::from_str(&salida(&activas)).unwrap();
        victima.senal("-STOP");
        let retenida = activas["victima@prueba"]
            .as_array()
            .unwrap()
            .iter()
            .any(|tarea| {
                let (_, tarea) = conexion.get(&format!("/tareas/{}", texto(&tarea["id"])));
                // One that failed before would be in RETRY, also while it waits.
                tarea["estado"] == "QUEUED"
            });
        if retenida {
            let muerte = SystemTime::now();
            victima.matar();
            return Some(muerte);
        }
        victima.senal("-CONT");
        None
    })
}

/// Every task's final answer; each must be SUCCESS, with the result of its own delivery.
fn esperar_todas(planta: &Planta, enviadas: &[Enviada]) -> Vec<Value> {
    let hasta = Instant::now() + PACIENCIA;
    let pendientes = Mutex::new(enviadas.iter());
    let esperar = || {
        let mut conexion = Conexion::nueva(&planta.direccion);
        let mut terminadas = Vec::new();
        loop {
            let Some(enviada) = pendientes.lock().unwrap().next() else {
                return terminadas;
            };
            let tarea = terminada(&mut conexion, enviada, hasta);
            assert_eq!(tarea["estado"], "SUCCESS", "{tarea}");
            assert_eq!(
                tarea["resultado"]["entrega_id"],
                enviada.entrega_id.as_str()
            );
            assert_eq!(
                (&tarea["tarea"], &tarea["cola"]),
                (&TAREA.into(), &"logistica".into())
            );
            terminadas.push(tarea);
        }
    };
    en_paralelo(esperar)
}

fn terminada(conexion: &mut Conexion, enviada: &Enviada, hasta: Instant) -> Value {
    loop {
        let (estado, tarea) = conexion.get(&format!("/tareas/{}", enviada.task_id));
        assert_eq!(estado, 200, "{tarea}");
        if !tarea["terminada"].is_null() {
            return tarea;
        }
        assert!(Instant::now() < hasta, "it has not ended: {tarea}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What is left of every stock line is what it began with, less what the deliveries ask for.
fn cuadra(planta: &Planta, almacen: &Almacen) {
    let informe = almacen.validar(None).unwrap();
    assert_eq!(
        (informe.reservas, informe.hallazgos.as_slice()),
        (5_000, [].as_slice())
    );
    let mut quedan: BTreeMap<(String, u64), i64> = inventario()
        .iter()
        .map(|l| {
            (
                (texto(&l["sku"]), l["bodega"]["geonameid"].as_u64().unwrap()),
                l["existencias"].as_i64().unwrap(),
            )
        })
        .collect();
    for linea in entregas() {
        let entrega: Value = serde_json::from_str(linea).unwrap();
        let bodega = entrega["origen"]["geonameid"].as_u64().unwrap();
        *quedan.get_mut(&(texto(&entrega["sku"]), bodega)).unwrap() -=
            entrega["cantidad"].as_i64().unwrap();
    }
    let mut conexion = Conexion::nueva(&planta.direccion);
    let productos: BTreeSet<_> = quedan.keys().map(|(sku, _)| sku.clone()).collect();
    let mut contadas = BTreeMap::new();
    for sku in productos {
        let (estado, cuerpo) = conexion.get(&format!("/inventario/{sku}"));
        assert_eq!(estado, 200, "{cuerpo}");
        for linea in cuerpo["bodegas"].as_array().unwrap() {
            let bodega = linea["bodega"]["geonameid"].as_u64().unwrap();
            contadas.insert(
                (sku.clone(), bodega),
                linea["existencias"].as_i64().unwrap(),
            );
        }
    }
    assert_eq!(contadas, quedan);
}

fn las_malas_no_cambian_nada(planta: &Planta, almacen: &Almacen) {
    let antes = almacen.validar(None).unwrap();
    let mut conexion = Conexion::nueva(&planta.direccion);
    for linea in malas() {
        let (estado, cuerpo) = conexion.post("/tareas", &pedido(linea));
        assert!(
            (400..500).contains(&estado),
            "{estado} {cuerpo} for {linea:.80}"
        );
        assert!(
            cuerpo["error"].as_str().is_some_and(|e| !e.is_empty()),
            "{cuerpo}"
        );
    }
    assert_eq!(almacen.validar(None).unwrap(), antes);
}

fn en_paralelo<T: Send>(trabajo: impl Fn() -> Vec<T> + Sync) -> Vec<T> {
    thread::scope(|hilos| {
        let todos: Vec<_> = (0..CONEXIONES).map(|_| hilos.spawn(&trabajo)).collect();
        todos
            .into_iter()
            .flat_map(|hilo| hilo.join().unwrap())
            .collect()
    })
}

fn salida(orden: &Output) -> String {
    let error = String::from_utf8_lossy(&orden.stderr);
    assert!(orden.status.success(), "{}: {error}", orden.status);
    String::from_utf8(orden.stdout.clone()).unwrap()
}

fn instante(valor: &Value) -> Timestamp {
    valor.as_str().unwrap().parse().unwrap()
}

fn texto(valor: &Value) -> String {
    valor.as_str().unwrap().to_owned()
}
