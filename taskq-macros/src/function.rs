//! The function under `#[task]`: what it may look like.

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, Item, ItemFn, Pat, PatType, Result, ReturnType, Signature, Type};

use crate::types;

/// What `serde` encodes as one tuple.
const MOST_PARAMS: usize = 16;

pub(crate) struct Function {
    pub(crate) item: ItemFn,
    pub(crate) takes_context: bool,
    pub(crate) params: Vec<Param>,
    /// The return type, `()` if none is written.
    pub(crate) returns: Type,
}

pub(crate) struct Param {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
}

impl Param {
    /// Its name on the wire: `r#type` is `type` there.
    pub(crate) fn name(&self) -> String {
        self.ident.unraw().to_string()
    }
}

pub(crate) fn parse(item: TokenStream) -> Result<Function> {
    let item = match syn::parse2(item)? {
        Item::Fn(item) => item,
        other => {
            let text = "`#[task]` goes on a function: `async fn` or `fn`";
            return Err(Error::new(other.span(), text));
        }
    };
    check_signature(&item.sig)?;
    let (mut takes_context, mut params) = (false, Vec::new());
    for (position, input) in item.sig.inputs.iter().enumerate() {
        match input {
            FnArg::Receiver(this) => {
                let text = "a task is a free function: it has no `self`; what its runs share, `Context::state` gives";
                return Err(Error::new(this.span(), text));
            }
            FnArg::Typed(input) if types::last_segment(&input.ty, "Context").is_some() => {
                if position > 0 {
                    let text = "`Context` must be the first parameter";
                    return Err(Error::new(input.ty.span(), text));
                }
                takes_context = true;
            }
            FnArg::Typed(input) => params.push(param(input)?),
        }
    }
    if let Some(surplus) = params.get(MOST_PARAMS) {
        let text = format!("a task has at most {MOST_PARAMS} arguments: take a struct");
        return Err(Error::new(surplus.ident.span(), text));
    }
    let returns = match &item.sig.output {
        ReturnType::Default => syn::parse_quote!(()),
        ReturnType::Type(_, ty) => (**ty).clone(),
    };
    if let Some(span) = types::find_word(&returns, "impl") {
        let text = "a task's result needs a type with a name, not `impl …`";
        return Err(Error::new(span, text));
    }
    Ok(Function {
        item,
        takes_context,
        params,
        returns,
    })
}

fn check_signature(sig: &Signature) -> Result<()> {
    let refuse = |span, text| Err(Error::new(span, text));
    if let Some(word) = &sig.constness {
        return refuse(word.span(), "a task cannot be a `const fn`: workers run it");
    }
    if let Some(word) = &sig.unsafety {
        return refuse(
            word.span(),
            "a task cannot be an `unsafe fn`: workers call it with whatever arrives",
        );
    }
    if let Some(word) = &sig.abi {
        return refuse(
            word.span(),
            "a task cannot be an `extern fn`: write a Rust function that calls it",
        );
    }
    if let Some(dots) = &sig.variadic {
        return refuse(dots.span(), "a task has a fixed number of arguments");
    }
    if !sig.generics.params.is_empty() || sig.generics.where_clause.is_some() {
        return refuse(
            sig.generics.params.span(),
            "a task cannot be generic: a message names one function",
        );
    }
    Ok(())
}

fn param(input: &PatType) -> Result<Param> {
    let Pat::Ident(pattern) = &*input.pat else {
        let text = "an argument needs a plain name: it is its keyword in a message";
        return Err(Error::new(input.pat.span(), text));
    };
    if pattern.by_ref.is_some() || pattern.subpat.is_some() {
        let text = "an argument needs a plain name, without `ref` or `@`";
        return Err(Error::new(pattern.span(), text));
    }
    if let Some(span) = types::find_punct(&input.ty, '&') {
        let text = if types::last_segment(types::referent(&input.ty), "Context").is_some() {
            "take `Context` by value; it is cheap to clone"
        } else {
            "an argument is decoded from the message and owned by the task: take it by value (`String`, `Vec<T>`)"
        };
        return Err(Error::new(span, text));
    }
    if let Some(span) = types::find_word(&input.ty, "impl") {
        let text = "an argument needs a concrete type, not `impl …`";
        return Err(Error::new(span, text));
    }
    Ok(Param {
        ident: pattern.ident.clone(),
        ty: (*input.ty).clone(),
    })
}
