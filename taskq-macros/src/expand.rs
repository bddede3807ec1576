//! What `#[task]` writes: the function as it was, and the module of the same name beside it.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Error, Result};

use crate::function::Function;
use crate::options::{Options, Time};
use crate::{doc, types};

pub(crate) fn expand(options: &Options, function: &Function) -> Result<TokenStream> {
    let root = root(options)?;
    let private = quote!(#root::__private);
    let (item, ident) = (&function.item, &function.item.sig.ident);
    let visibility = &item.vis;
    let conditions = item.attrs.iter().filter(|a| a.path().is_ident("cfg"));

    let name = name(options, ident)?;
    let about = format!("The task `{name}`: its definition, and `call` to make a signature.");
    let description = doc::first_paragraph(&item.attrs);
    let settings = settings(options, &private);
    let params = function.params.iter().map(|param| {
        let (name, kind) = (param.name(), types::kind(&param.ty));
        let required = types::inside_option(&param.ty).is_none();
        quote!(#private::Param { name: #name, kind: #kind, required: #required })
    });
    let retry = options.retry.as_ref().map(|policy| {
        let span = policy.span();
        let policy = types::one_deeper(policy.to_token_stream());
        let reference = quote_spanned!(span=> &(#policy));
        quote!(static __RETRY: &dyn #private::RetryPolicy = #reference;)
    });
    let returned = returned(options, function, &private);
    let run = run(function, &private);
    let call = call(function, &private);

    Ok(quote! {
        #item

        #(#conditions)*
        #[doc = #about]
        #visibility mod #ident {
            #[allow(unused_imports)]
            use super::*;

            /// The definition, as workers know it.
            pub static DEF: #private::TaskDef =
                #private::TaskDef::new(#name, &[#(#params),*], __run)
                    .doc(#description)
                    #settings
                    .at(::core::file!(), ::core::line!());

            #private::inventory::submit! { #private::Registered(&DEF) }

            #retry
            #returned
            #run
            #call
        }
    })
}

/// Where `__private` is found: as written, or as Cargo.toml calls taskq-core or taskq-worker.
fn root(options: &Options) -> Result<TokenStream> {
    if let Some(path) = &options.krate {
        return Ok(types::one_deeper(path.to_token_stream()));
    }
    for package in ["taskq-core", "taskq-worker"] {
        let name = match crate_name(package) {
            Ok(FoundCrate::Name(name)) => name,
            // Its tests, examples and doctests see it so; its own modules would write `crate = crate`.
            Ok(FoundCrate::Itself) => package.replace('-', "_"),
            Err(_) => continue,
        };
        let name = Ident::new(&name, Span::call_site());
        return Ok(quote!(::#name));
    }
    Err(Error::new(
        Span::call_site(),
        "`#[task]` needs taskq-core or taskq-worker in the dependencies of this crate; \
         if it comes through another crate, say where: `#[task(crate = path::to::taskq_core)]`",
    ))
}

fn name(options: &Options, ident: &Ident) -> Result<String> {
    if let Some(name) = &options.name {
        return Ok(name.value());
    }
    // Cargo tells the compiler which package it builds; a change of it rebuilds everything.
    let package = std::env::var("CARGO_PKG_NAME").map_err(|_| {
        let text = "the package has no name here: write `#[task(name = \"…\")]`";
        Error::new(Span::call_site(), text)
    })?;
    Ok(format!("{}.{}", package.replace('-', "_"), ident.unraw()))
}

fn settings(options: &Options, private: &TokenStream) -> TokenStream {
    let queue = options.queue.as_ref().map(|queue| quote!(.queue(#queue)));
    let max_retries = options.max_retries.as_ref().map(|number| {
        let number = types::one_deeper(number.to_token_stream());
        quote!(.max_retries(#number))
    });
    let retry = options.retry.as_ref().map(|_| quote!(.retry(__RETRY)));
    let ignore_result = options.ignore_result.then(|| quote!(.ignore_result(true)));
    let track_started = options.track_started.then(|| quote!(.track_started(true)));
    let expires = time(options.expires.as_ref(), private).map(|after| quote!(.expires(#after)));
    let hard = time(options.time_limit.as_ref(), private);
    let hard = hard.map(|limit| quote!(.time_limit(#limit)));
    let soft = time(options.soft_time_limit.as_ref(), private);
    let soft = soft.map(|limit| quote!(.soft_time_limit(#limit)));
    let priority = options.priority.as_ref().map(|number| {
        let number = types::one_deeper(number.to_token_stream());
        quote!(.priority(#number))
    });
    let max_crashes = options.max_crashes.as_ref().map(|number| {
        let number = types::one_deeper(number.to_token_stream());
        quote!(.max_crashes(#number))
    });
    let on_crash = options
        .dead_on_crash
        .then(|| quote!(.on_crash(#private::OnCrash::Dead)));
    quote! {
        #queue #max_retries #retry #ignore_result #track_started #expires #max_crashes #on_crash
        #hard #soft #priority
    }
}

fn time(written: Option<&Time>, private: &TokenStream) -> Option<TokenStream> {
    Some(match written? {
        Time::Ms(ms) => quote!(#private::Duration::from_millis(#ms)),
        Time::Of(expr) => types::one_deeper(expr.to_token_stream()),
    })
}

/// The types inside the return type, and the way from a returned value to an outcome.
fn returned(options: &Options, function: &Function, private: &TokenStream) -> TokenStream {
    let span = function.returns.span();
    let returns = types::one_deeper(function.returns.to_token_stream());
    let outcome = match &options.retry_if {
        Some(path) => {
            let path = types::one_deeper(path.to_token_stream());
            quote_spanned!(span=> <__Result as #private::Judged<__Returned>>::outcome(returned, #path))
        }
        None => {
            quote_spanned!(span=> <__Result as #private::Fallible<__Returned>>::outcome(returned))
        }
    };
    quote_spanned! {span=>
        #[allow(unused_imports)]
        use #private::Otherwise as _;
        type __Returned = #returns;
        type __Result = #private::Is<{ #private::Returned::<__Returned>::RESULT }>;
        type __Ok = <__Result as #private::Inside<__Returned>>::Ok;
        type __Outcome = #private::Is<{ #private::Returned::<__Ok>::OUTCOME }>;
        type __Value = <__Outcome as #private::Spoken<__Ok>>::Value;

        fn __finish(returned: __Returned) -> #private::TaskResult {
            let outcome = #outcome;
            #private::encode::<__Value>(<__Outcome as #private::Spoken<__Ok>>::flatten(outcome))
        }
    }
}

/// Decodes the arguments and starts the function.
fn run(function: &Function, private: &TokenStream) -> TokenStream {
    let ident = &function.item.sig.ident;
    let names: Vec<Ident> = (0..function.params.len())
        .map(|i| format_ident!("__{i}"))
        .collect();
    let decoded = function
        .params
        .iter()
        .zip(&names)
        .enumerate()
        .map(|(i, (param, name))| {
            let span = param.ty.span();
            let ty = types::one_deeper(param.ty.to_token_stream());
            quote_spanned!(span=> let #name = __bound.get::<#ty>(#i)?;)
        });
    let context = function.takes_context.then(|| quote!(__context,));
    let invoked = quote_spanned!(ident.span()=> super::#ident(#context #(#names),*));
    let running = if function.item.sig.asyncness.is_some() {
        quote_spanned!(ident.span()=>
            #private::Running::Async(::std::boxed::Box::pin(async move { __finish(#invoked.await) })))
    } else {
        quote_spanned!(ident.span()=>
            #private::Running::Blocking(::std::boxed::Box::new(move || __finish(#invoked))))
    };
    quote! {
        #[allow(unused_variables)]
        fn __run(
            __context: #private::Context,
            __arguments: #private::Arguments<'_>,
        ) -> ::core::result::Result<#private::Running, #private::BadSignature> {
            let __bound = __arguments.bind(DEF.params)?;
            #(#decoded)*
            ::core::result::Result::Ok(#running)
        }
    }
}

fn call(function: &Function, private: &TokenStream) -> TokenStream {
    let idents: Vec<_> = function.params.iter().map(|p| &p.ident).collect();
    let types = function
        .params
        .iter()
        .map(|p| types::one_deeper(p.ty.to_token_stream()));
    // An argument that does not serialize is told where the arguments stand.
    let args = function.params.first().map(|first| {
        let tuple = quote_spanned!(first.ty.span()=> &(#(#idents,)*));
        quote!(.args(#tuple))
    });
    quote! {
        /// A call with these arguments, to be sent.
        #[allow(dead_code, clippy::too_many_arguments)]
        pub fn call(#(#idents: #types),*) -> #private::Signature<__Value> {
            #private::Signature::of(&DEF)#args
        }
    }
}
