//! What can be read off a type as it is written.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{GenericArgument, PathArguments, PathSegment, Type};

/// The last segment of a path type, if it is called `name`.
pub(crate) fn last_segment<'a>(ty: &'a Type, name: &str) -> Option<&'a PathSegment> {
    path_end(ty).filter(|segment| segment.ident == name)
}

/// The `T` of `Option<T>`.
pub(crate) fn inside_option(ty: &Type) -> Option<&Type> {
    let PathArguments::AngleBracketed(inside) = &last_segment(ty, "Option")?.arguments else {
        return None;
    };
    match inside.args.first()? {
        GenericArgument::Type(inner) => Some(inner),
        _ => None,
    }
}

/// The type behind any references.
pub(crate) fn referent(ty: &Type) -> &Type {
    match ty {
        Type::Reference(reference) => referent(&reference.elem),
        other => other,
    }
}

/// The JSON type where it is known, else the Rust type.
pub(crate) fn kind(ty: &Type) -> String {
    if let Some(inner) = inside_option(ty) {
        return kind(inner);
    }
    let name = match ty {
        Type::Array(_) | Type::Tuple(_) => return "array".into(),
        Type::Paren(inner) => return kind(&inner.elem),
        Type::Group(inner) => return kind(&inner.elem),
        other => path_end(other).map(|s| s.ident.to_string()),
    };
    let json = match name.as_deref().unwrap_or_default() {
        "String" | "char" | "str" => "string",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" | "u8" | "u16" | "u32" | "u64" | "u128"
        | "usize" => "integer",
        "f32" | "f64" => "number",
        "bool" => "boolean",
        "Vec" | "VecDeque" | "HashSet" | "BTreeSet" => "array",
        "HashMap" | "BTreeMap" => "object",
        "Value" | "RawValue" => "any",
        "Box" | "Arc" | "Rc" => return inside(ty).map_or_else(|| as_written(ty), kind),
        _ => return as_written(ty),
    };
    json.into()
}

/// Where `word` stands in a type, at any depth.
pub(crate) fn find_word(ty: &Type, word: &str) -> Option<Span> {
    find(ty.to_token_stream(), &|token| match token {
        TokenTree::Ident(ident) => ident == word,
        _ => false,
    })
}

/// Where `sign` stands in a type, at any depth.
pub(crate) fn find_punct(ty: &Type, sign: char) -> Option<Span> {
    find(ty.to_token_stream(), &|token| match token {
        TokenTree::Punct(punct) => punct.as_char() == sign,
        _ => false,
    })
}

/// The same code one module further in: `self::x` becomes `super::x`, `super::x` becomes `super::super::x`.
pub(crate) fn one_deeper(tokens: TokenStream) -> TokenStream {
    let mut out = TokenStream::new();
    let mut tokens = tokens.into_iter().peekable();
    let mut after_colon = false;
    while let Some(token) = tokens.next() {
        let before_colon =
            matches!(tokens.peek(), Some(TokenTree::Punct(next)) if next.as_char() == ':');
        match &token {
            TokenTree::Ident(word) if before_colon && !after_colon && word == "super" => {
                out.extend(quote!(super::super));
            }
            TokenTree::Ident(word) if before_colon && !after_colon && word == "self" => {
                Ident::new("super", word.span()).to_tokens(&mut out);
            }
            TokenTree::Group(group) => {
                let mut inner =
                    proc_macro2::Group::new(group.delimiter(), one_deeper(group.stream()));
                inner.set_span(group.span());
                inner.to_tokens(&mut out);
            }
            other => other.to_tokens(&mut out),
        }
        after_colon = matches!(&token, TokenTree::Punct(sign) if sign.as_char() == ':');
    }
    out
}

fn path_end(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        Type::Group(inner) => path_end(&inner.elem),
        Type::Paren(inner) => path_end(&inner.elem),
        _ => None,
    }
}

fn inside(ty: &Type) -> Option<&Type> {
    let PathArguments::AngleBracketed(inside) = &path_end(ty)?.arguments else {
        return None;
    };
    match inside.args.first()? {
        GenericArgument::Type(inner) => Some(inner),
        _ => None,
    }
}

fn as_written(ty: &Type) -> String {
    let spaced = ty.to_token_stream().to_string();
    ["<", ">", "::", ",", "(", ")"]
        .into_iter()
        .fold(spaced, |text, sign| {
            text.replace(&format!(" {sign}"), sign)
                .replace(&format!("{sign} "), sign)
        })
        .replace(',', ", ")
}

fn find(tokens: TokenStream, wanted: &dyn Fn(&TokenTree) -> bool) -> Option<Span> {
    tokens.into_iter().find_map(|token| match &token {
        TokenTree::Group(group) => find(group.stream(), wanted),
        other => wanted(other).then(|| other.span()),
    })
}
