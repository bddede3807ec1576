//! servicio
