//! The services to ask: names and addresses.

use std::str::FromStr;

use hyper::Uri;

/// So many services are asked at most.
pub const SERVICIOS_MAX: usize = 50;

/// Longest name of a service, in characters.
const NOMBRE_MAX: usize = 64;

/// How much of a refused entry an error repeats, in characters.
const ENTRADA_MAX: usize = 100;

/// What is asked of each.
const SALUD: &str = "/health";

/// The services to ask, each under a name of its own; read from `name=http://host:port, …`.
///
/// ```
/// use monitor_dominio::Servicios;
/// let servicios: Servicios = "logistica=http://127.0.0.1:5002,autorizador=http://m-autorizador:5003".parse()?;
/// assert_eq!(servicios.nombres().collect::<Vec<_>>(), ["logistica", "autorizador"]);
///
/// let error = "logistica=https://127.0.0.1:5002".parse::<Servicios>().unwrap_err();
/// assert!(error.to_string().contains("https"));
/// # Ok::<(), monitor_dominio::ServicioInvalido>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Servicios(Vec<Servicio>);

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Servicio {
    pub(crate) nombre: String,
    /// `host:port`, as the Host header has it.
    pub(crate) sitio: String,
    pub(crate) host: String,
    pub(crate) puerto: u16,
    /// The path of its health check.
    pub(crate) camino: String,
}

/// An entry that names no service that can be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{entrada:?} is no service to ask: {motivo}; write name=http://host:port, with commas between, such as logistica=http://127.0.0.1:5002"
)]
pub struct ServicioInvalido {
    /// The entry, cut.
    pub entrada: String,
    /// What is wrong with it.
    pub motivo: String,
}

impl Servicios {
    /// Their names, in the order given.
    pub fn nombres(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|s| &*s.nombre)
    }

    pub(crate) fn todos(&self) -> &[Servicio] {
        &self.0
    }
}

impl FromStr for Servicios {
    type Err = ServicioInvalido;

    fn from_str(texto: &str) -> Result<Self, ServicioInvalido> {
        let mut servicios: Vec<Servicio> = Vec::new();
        if texto.trim().is_empty() {
            return Ok(Self::default());
        }
        for entrada in texto.split(',') {
            let invalido = |motivo: String| ServicioInvalido {
                entrada: entrada.chars().take(ENTRADA_MAX).collect(),
                motivo,
            };
            let servicio = leer(entrada.trim()).map_err(invalido)?;
            if servicios.iter().any(|s| s.nombre == servicio.nombre) {
                return Err(invalido(format!("{} is named twice", servicio.nombre)));
            }
            if servicios.len() == SERVICIOS_MAX {
                return Err(invalido(format!(
                    "{SERVICIOS_MAX} are named before it, which is the most"
                )));
            }
            servicios.push(servicio);
        }
        Ok(Self(servicios))
    }
}

fn leer(entrada: &str) -> Result<Servicio, String> {
    let Some((nombre, direccion)) = entrada.split_once('=') else {
        return Err("it has no `=` between a name and an address".to_owned());
    };
    let permitida = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if nombre.is_empty() || nombre.len() > NOMBRE_MAX || !nombre.chars().all(permitida) {
        return Err(format!(
            "its name is not 1 to {NOMBRE_MAX} of the characters A-Z a-z 0-9 . _ -"
        ));
    }
    let uri: Uri = direccion
        .parse()
        .map_err(|error| format!("its address can not be read ({error})"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => {
            return Err(
                "https is not built: the monitor asks over plain http, inside the network"
                    .to_owned(),
            );
        }
        _ => return Err("its address does not begin with http://".to_owned()),
    }
    let Some(sitio) = uri.authority().filter(|s| !s.host().is_empty()) else {
        return Err("its address names no host".to_owned());
    };
    if sitio.as_str().contains('@') {
        return Err("its address holds a user, and none is sent".to_owned());
    }
    // One that is no port reads as none.
    let resto = &sitio.as_str()[sitio.host().len()..];
    let puerto = match (resto, sitio.port_u16()) {
        ("", _) => 80,
        (_, Some(puerto @ 1..)) => puerto,
        _ => return Err("its port is not a number from 1 to 65535".to_owned()),
    };
    if uri.query().is_some() || direccion.contains('#') {
        return Err(format!(
            "its address goes on after the path: {SALUD} is added to it"
        ));
    }
    let host = sitio.host().trim_start_matches('[').trim_end_matches(']');
    Ok(Servicio {
        nombre: nombre.to_owned(),
        sitio: sitio.as_str().to_owned(),
        host: host.to_owned(),
        puerto,
        camino: format!("{}{SALUD}", uri.path().trim_end_matches('/')),
    })
}

#[cfg(test)]
mod tests {
    use super::{SERVICIOS_MAX, Servicios};

    fn uno(texto: &str) -> (String, u16, String) {
        let servicios: Servicios = texto.parse().unwrap();
        let s = &servicios.0[0];
        (s.host.clone(), s.puerto, s.camino.clone())
    }

    #[test]
    fn an_address_is_a_host_a_port_and_what_is_before_health() {
        let de = |host: &str, puerto, camino: &str| (host.to_owned(), puerto, camino.to_owned());
        assert_eq!(uno("a=http://h:81"), de("h", 81, "/health"));
        assert_eq!(uno("a=http://h"), de("h", 80, "/health"));
        assert_eq!(uno(" a=http://h:81/ "), de("h", 81, "/health"));
        assert_eq!(
            uno("a=http://[::1]:81/base/"),
            de("::1", 81, "/base/health")
        );
        assert_eq!("".parse::<Servicios>().unwrap().nombres().count(), 0);
    }

    #[test]
    fn a_bad_entry_is_named_with_what_is_wrong() {
        for (entrada, motivo) in [
            ("otro", "no `=`"),
            ("", "no `=`"),
            ("=http://h", "its name"),
            ("o tro=http://h", "its name"),
            ("otro=h:5002", "http://"),
            ("otro=ftp://h", "http://"),
            ("otro=https://h", "https is not built"),
            ("otro=http://", "can not be read"),
            ("otro=http://:80", "names no host"),
            ("otro=http://h:99999", "port"),
            ("otro=http://h:0", "port"),
            ("otro=http://h:", "port"),
            ("otro=http://u:p@h", "user"),
            ("otro=http://h/?a=b", "goes on"),
            ("otro=http://h/#a", "goes on"),
            ("bien=http://h", "named twice"),
        ] {
            let texto = format!("bien=http://h:1,{entrada}");
            let error = texto.parse::<Servicios>().unwrap_err();
            let dicho = error.to_string();
            assert!(dicho.contains(&format!("{entrada:?}")), "{dicho}");
            assert!(dicho.contains(motivo), "{entrada}: {dicho}");
        }
    }

    #[test]
    fn there_is_a_most() {
        let muchos = |n| {
            let todos: Vec<_> = (0..n).map(|i| format!("s{i}=http://h")).collect();
            todos.join(",").parse::<Servicios>()
        };
        assert!(muchos(SERVICIOS_MAX).is_ok());
        let error = muchos(SERVICIOS_MAX + 1).unwrap_err();
        assert_eq!(error.entrada, format!("s{SERVICIOS_MAX}=http://h"));
    }
}
