//! Settings.

use std::ffi::OsString;
use std::time::Duration;

use logistica_tareas::{Logistica, SistemaBodega};

fn con(ajustes: &[(&'static str, &'static str)]) -> impl Fn(&str) -> Option<OsString> + use<> {
    let ajustes = ajustes.to_vec();
    move |nombre| {
        let puesto = ajustes.iter().find(|(clave, _)| *clave == nombre);
        puesto.map(|(_, valor)| valor.into())
    }
}

#[test]
fn the_warehouse_system_is_as_the_settings_say() {
    let leer =
        |ajustes: &[(&'static str, &'static str)]| SistemaBodega::desde(&con(ajustes)).unwrap();
    let veinte = Duration::from_millis(20);
    assert_eq!(leer(&[]), SistemaBodega::nuevo(0.0, veinte));
    assert_eq!(
        leer(&[("LOGISTICA_FAULT_RATE", "")]),
        SistemaBodega::nuevo(0.0, veinte)
    );
    let ambos = [
        ("LOGISTICA_FAULT_RATE", "0.2"),
        ("LOGISTICA_LATENCY_MS", "5"),
    ];
    assert_eq!(
        leer(&ambos),
        SistemaBodega::nuevo(0.2, Duration::from_millis(5))
    );
}

#[test]
fn a_setting_out_of_range_is_named_and_leaves_no_stock_file() {
    let carpeta = tempfile::tempdir().unwrap();
    let ruta = carpeta.path().join("x.db");
    for (nombre, valor) in [
        ("LOGISTICA_FAULT_RATE", "1.1"),
        ("LOGISTICA_FAULT_RATE", "-0.1"),
        ("LOGISTICA_FAULT_RATE", "nan"),
        ("LOGISTICA_LATENCY_MS", "60001"),
        ("LOGISTICA_LATENCY_MS", "1.5"),
    ] {
        let otra = con(&[(nombre, valor)]);
        let error = Logistica::abrir(|clave| match clave {
            "LOGISTICA_DB" => Some(ruta.clone().into()),
            _ => otra(clave),
        });
        let error = error.unwrap_err().to_string();
        assert!(error.contains(nombre) && error.contains(valor), "{error}");
    }
    assert!(!ruta.exists());
}
