//! The service `plantilla`: takes names over HTTP and has them greeted by the workers.

use std::env;
use std::process::ExitCode;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Parser;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use servicio::{
    Argumentos, CuerpoJson, ErrorHttp, ErrorServicio, Parada, Trozo, abrir_corredor, aplicacion,
    decir_error, en_plazo, escuchar, iniciar_registro, leer_linea, mal_arrancado, servir,
};
use taskq_client::{Client, SendOptions, TaskId};

/// Greets people in the background
#[derive(Debug, Parser)]
#[command(name = "plantilla", version)]
struct Linea {
    #[command(flatten)]
    comunes: Argumentos<5004>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Linea { comunes } = leer_linea();
    iniciar_registro(comunes.loglevel);
    let broker = comunes.broker.clone();
    let cliente = match abrir_corredor(broker, |nombre| env::var_os(nombre)).await {
        Ok(cliente) => cliente,
        Err(error) => {
            decir_error(&error);
            return mal_arrancado(&error);
        }
    };
    match atender(&comunes, rutas(cliente)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            decir_error(&error);
            ExitCode::FAILURE
        }
    }
}

async fn atender(comunes: &Argumentos<5004>, rutas: Router) -> Result<(), ErrorServicio> {
    let parada = Parada::por_senales()?;
    let app = aplicacion("plantilla", rutas, &comunes.cors_origin);
    servir(escuchar(&comunes.host, comunes.port).await?, app, &parada).await
}

fn rutas(cliente: Client) -> Router {
    Router::new()
        .route("/saludos", post(pedir))
        .route("/saludos/{id}", get(consultar))
        .with_state(cliente)
}

#[derive(Serialize, Deserialize)]
struct Saludo {
    nombre: String,
}

/// Sends the task by its name: this program links none of the tasks' code.
async fn pedir(
    State(cliente): State<Client>,
    CuerpoJson(saludo): CuerpoJson<Saludo>,
) -> Result<(StatusCode, Json<Value>), ErrorHttp> {
    let cola = SendOptions::default().queue("plantilla");
    let enviar = cliente.send_by_name("plantilla.saludar", (), saludo, cola);
    let enviada = en_plazo(async { Ok(enviar.await?) }).await?;
    let cuerpo = json!({ "task_id": enviada.id() });
    Ok((StatusCode::ACCEPTED, Json(cuerpo)))
}

async fn consultar(
    State(cliente): State<Client>,
    Trozo(id): Trozo,
) -> Result<Json<Value>, ErrorHttp> {
    let id: TaskId = id.parse()?;
    let llamada = cliente.handle::<Value>(id);
    let registro = en_plazo(async { Ok(llamada.record().await?) }).await?;
    let registro = registro
        .ok_or_else(|| ErrorHttp::no_encontrado(format!("unknown or expired task id {id}")))?;
    let error = registro.error.map(|error| error.message);
    Ok(Json(
        json!({ "estado": registro.state, "resultado": registro.result, "error": error }),
    ))
}
