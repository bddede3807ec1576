//! The command line all services have in common.

use clap::Args;

use crate::cors::OrigenCors;
use crate::registro::Nivel;

/// The options of every service, to flatten into its own; `PUERTO` is the service's default port.
#[derive(Debug, Clone, Args)]
pub struct Argumentos<const PUERTO: u16> {
    /// TCP port to listen on; 0 takes any free one
    #[arg(long, env = "PORT", default_value_t = PUERTO)]
    pub port: u16,

    /// Address or name to listen on; the default is every interface, as a container needs
    #[arg(long, env = "HOST", default_value = "0.0.0.0")]
    pub host: String,

    /// URL of the broker
    // Its value may hold a password, which --help must not show.
    #[arg(
        long,
        env = "TASKQ_BROKER_URL",
        hide_env_values = true,
        default_value = "redis://127.0.0.1:6379/0"
    )]
    pub broker: String,

    /// Origins whose pages may call the service, comma-separated; `*` is any
    #[arg(
        long,
        env = "CORS_ORIGIN",
        value_delimiter = ',',
        default_value = "http://localhost:4200"
    )]
    pub cors_origin: Vec<OrigenCors>,

    /// Least severe messages to log
    #[arg(long, env = "LOGLEVEL", value_enum, ignore_case = true, default_value_t = Nivel::Info)]
    pub loglevel: Nivel,
}
