//! The description of a task: the first paragraph of its documentation.

use syn::{Attribute, Expr, Lit, Meta};

pub(crate) fn first_paragraph(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(line).flat_map(|text| {
        let lines: Vec<String> = text.lines().map(|l| l.trim().to_owned()).collect();
        // `///` alone is one empty line.
        if lines.is_empty() {
            vec![String::new()]
        } else {
            lines
        }
    });
    lines
        .skip_while(String::is_empty)
        .take_while(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(meta) = &attribute.meta else {
        return None;
    };
    match &meta.value {
        Expr::Lit(value) if meta.path.is_ident("doc") => match &value.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}
