//! logistica-dominio
