//! Settings.

use std::ffi::OsString;
use std::path::Path;

use monitor_tareas::{AjusteInvalido, Monitor};

fn abrir(ruta: &Path, servicios: Option<&str>) -> Result<Monitor, AjusteInvalido> {
    Monitor::abrir(|nombre| match nombre {
        "MONITOR_DB" => Some(OsString::from(ruta)),
        "SERVICIOS" => servicios.map(OsString::from),
        _ => None,
    })
}

#[test]
fn a_bad_service_is_named_and_leaves_no_file() {
    let carpeta = tempfile::tempdir().unwrap();
    let ruta = carpeta.path().join("x.db");
    let error = abrir(&ruta, Some("a=http://h,otro=x"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("SERVICIOS") && error.contains("\"otro=x\""),
        "{error}"
    );
    assert!(!ruta.exists());
    for servicios in [None, Some(""), Some("a=http://h")] {
        abrir(&ruta, servicios).unwrap();
    }
    let error = Monitor::abrir(|_| None).unwrap_err().to_string();
    assert!(error.contains("MONITOR_DB"), "{error}");
}
