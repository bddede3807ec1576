//! The worker of all services: it links their tasks and gives them what they share.

// A crate of tasks that is listed but never named is not linked, and nobody is told.
#![deny(unused_crate_dependencies)]

use std::env;
use std::process::ExitCode;

use logistica_tareas::Logistica;
use monitor_tareas::Monitor;

fn main() -> ExitCode {
    taskq_worker::cli::main_with(|worker| {
        let ajuste = |nombre: &str| env::var_os(nombre);
        Ok(worker
            .state(Logistica::abrir(ajuste)?)
            .state(Monitor::abrir(ajuste)?))
    })
}
