//! The common command line.

use clap::{CommandFactory, Parser};
use servicio::{Argumentos, Nivel};

#[derive(Debug, Parser)]
struct Linea {
    #[command(flatten)]
    comunes: Argumentos<5002>,
}

#[test]
fn the_defaults_are_the_services() {
    Linea::command().debug_assert();
    let Linea { comunes } = Linea::try_parse_from(["x"]).unwrap();
    assert_eq!((comunes.port, comunes.host.as_str()), (5002, "0.0.0.0"));
    assert_eq!(comunes.broker, None);
    assert_eq!(
        comunes.cors_origin,
        ["http://localhost:4200".parse().unwrap()]
    );
    assert_eq!(comunes.loglevel, Nivel::Info);
}

#[test]
fn values_are_checked() {
    let linea = [
        "x",
        "--cors-origin",
        "http://a.co,http://b.co",
        "--loglevel",
        "WARN",
    ];
    let Linea { comunes } = Linea::try_parse_from(linea).unwrap();
    assert_eq!(comunes.cors_origin.len(), 2);
    assert_eq!(comunes.loglevel, Nivel::Warning);
    for malo in ["--port=70000", "--loglevel=loud", "--cors-origin=localhost"] {
        assert!(Linea::try_parse_from(["x", malo]).is_err(), "{malo}");
    }
}

#[test]
fn help_does_not_show_the_brokers_password() {
    let linea = Linea::command();
    let broker = linea
        .get_arguments()
        .find(|a| a.get_id() == "broker")
        .unwrap();
    assert!(broker.is_hide_env_values_set());
}

#[test]
fn broker_and_level_have_the_short_names_of_the_worker() {
    let linea = ["x", "-b", "redis://h:1/0", "-l", "debug"];
    let Linea { comunes } = Linea::try_parse_from(linea).unwrap();
    assert_eq!(comunes.broker.as_deref(), Some("redis://h:1/0"));
    assert_eq!(comunes.loglevel, Nivel::Debug);
}
