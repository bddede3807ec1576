//! The command line all services have in common.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::process;

use clap::builder::Resettable;
use clap::{ArgMatches, Args, Command, Parser};

use crate::cors::OrigenCors;
use crate::registro::Nivel;
use crate::salud::revisar;

/// The options of every service, to flatten into its own; `PUERTO` is the service's default port.
#[derive(Debug, Clone, Args)]
pub struct Argumentos<const PUERTO: u16> {
    /// TCP port to listen on; 0 takes any free one
    #[arg(long, env = "PORT", default_value_t = PUERTO)]
    pub port: u16,

    /// Address or name to listen on; the default is every interface, as a container needs
    #[arg(long, env = "HOST", default_value = "0.0.0.0")]
    pub host: String,

    /// URL of the broker; `None`: a file of this user's.
    // Its value may hold a password, which --help must not show.
    #[arg(
        short,
        long,
        env = "TASKQ_BROKER_URL",
        hide_env_values = true,
        help = "URL of the broker [default: a file of this user's: taskq/taskq.db in $XDG_DATA_HOME, else in ~/.local/share]"
    )]
    pub broker: Option<String>,

    /// Origins whose pages may call the service, comma-separated; `*` is any
    #[arg(
        long,
        env = "CORS_ORIGIN",
        value_delimiter = ',',
        default_value = "http://localhost:4200"
    )]
    pub cors_origin: Vec<OrigenCors>,

    /// Least severe messages to log
    #[arg(short, long, env = "LOGLEVEL", value_enum, ignore_case = true, default_value_t = Nivel::Info)]
    pub loglevel: Nivel,

    /// Ask the service that listens on this port whether it is well, and end: 0 if it is, else 1
    // leer_linea carries it out; where it has returned, this is not set.
    #[arg(long)]
    pub check: bool,
}

/// Reads the command line of a service, for its main; a variable that is set to nothing counts as
/// unset, since compose files pass such ones on.
///
/// Ends the process where the command line asks for help or cannot be read, as [`Parser::parse`], and where it asks for
/// `--check`: then the service that runs at that host and port is asked ([`revisar`]), a line says how it is, and the exit
/// status is 0 or 1.
#[must_use]
pub fn leer_linea<L: Parser>() -> L {
    let orden = sin_vacias(L::command(), |nombre| env::var_os(nombre));
    let dados = orden.get_matches();
    revisar_si_se_pide(&dados);
    L::from_arg_matches(&dados).unwrap_or_else(|error| error.exit())
}

#[expect(
    clippy::exit,
    reason = "a question of the command line, answered as --help is"
)]
fn revisar_si_se_pide(dados: &ArgMatches) {
    // A line of a service that took none of these options in is none to be asked.
    let pedida = dados.try_get_one("check").ok().flatten();
    let host: Option<&String> = dados.try_get_one("host").ok().flatten();
    let puerto: Option<&u16> = dados.try_get_one("port").ok().flatten();
    let (Some(true), Some(host), Some(puerto)) = (pedida, host, puerto) else {
        return;
    };
    match revisar(host, *puerto) {
        // Who asks may look at the status alone.
        Ok(linea) => {
            drop(writeln!(io::stdout(), "{linea}"));
            process::exit(0)
        }
        Err(enferma) => {
            drop(writeln!(io::stderr(), "{enferma}"));
            process::exit(1)
        }
    }
}

/// `orden` without the variables that `valor` finds empty.
fn sin_vacias(orden: Command, valor: impl Fn(&OsStr) -> Option<OsString>) -> Command {
    orden.mut_args(|arg| {
        let vacia = arg.get_env().and_then(&valor).is_some_and(|v| v.is_empty());
        if vacia {
            arg.env(Resettable::Reset)
        } else {
            arg
        }
    })
}
