//! `#[taskq_worker::test]`: a test that is given a broker of its own.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, ItemFn, LitBool, Path, Result, Token};

const SHAPE: &str =
    "a test is an `async fn` that takes the broker: `async fn it_works(broker: TestBroker)`";

/// What stands between the parentheses.
#[derive(Default)]
struct Options {
    inline: bool,
    running: bool,
    worker: Option<Expr>,
    krate: Option<Path>,
}

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options = parse(options)?;
    let mut item: ItemFn = syn::parse2(item.clone()).map_err(|_| Error::new(item.span(), SHAPE))?;
    let sig = &item.sig;
    if sig.asyncness.is_none() || sig.inputs.len() != 1 || !sig.generics.params.is_empty() {
        return Err(Error::new(sig.span(), SHAPE));
    }
    let root = root(&options)?;
    let (name, output, visibility) = (sig.ident.clone(), sig.output.clone(), item.vis.clone());
    let attributes = std::mem::take(&mut item.attrs);
    item.vis = syn::Visibility::Inherited;
    let inline = options.inline.then(|| quote!(.inline()));
    let worker = options.worker.map(|complete| quote!(.worker(#complete)));
    let paused = !options.running;
    Ok(quote! {
        #(#attributes)*
        #[::core::prelude::v1::test]
        #visibility fn #name() #output {
            #item
            #root::testing::run_test(
                #root::testing::TestBroker::builder() #inline #worker,
                #paused,
                #name,
            )
        }
    })
}

/// One option as it stands there.
struct Written {
    name: Ident,
    value: Option<Expr>,
}

impl Parse for Written {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name = Ident::parse_any(input)?;
        let equals = input.parse::<Option<Token![=]>>()?;
        let value = equals.map(|_| input.parse()).transpose()?;
        Ok(Self { name, value })
    }
}

fn parse(tokens: TokenStream) -> Result<Options> {
    let written = Punctuated::<Written, Token![,]>::parse_terminated.parse2(tokens)?;
    let mut options = Options::default();
    for Written { name, value } in written {
        let span = name.span();
        match (name.to_string().as_str(), value) {
            ("inline", None) => options.inline = true,
            ("start_paused", Some(value)) => {
                let paused = syn::parse2::<LitBool>(value.to_token_stream());
                let text = "`start_paused` must be `true` or `false`";
                options.running = !paused.map_err(|_| Error::new(value.span(), text))?.value;
            }
            ("worker", Some(complete)) => options.worker = Some(complete),
            ("crate", Some(path)) => {
                let text = "`crate` must be the path of taskq-worker";
                let path = syn::parse2(path.to_token_stream());
                options.krate = Some(path.map_err(|_| Error::new(span, text))?);
            }
            (other, _) => {
                let text = format!(
                    "`{other}` is none of the options, or not written as one of them: \
                     `inline`, `start_paused = false`, `worker = |worker| …`, `crate = path`"
                );
                return Err(Error::new(span, text));
            }
        }
    }
    Ok(options)
}

fn root(options: &Options) -> Result<TokenStream> {
    if let Some(path) = &options.krate {
        return Ok(path.to_token_stream());
    }
    let name = match crate_name("taskq-worker") {
        Ok(FoundCrate::Name(name)) => name,
        // Its tests and doctests see it so.
        Ok(FoundCrate::Itself) => "taskq_worker".to_owned(),
        Err(_) => {
            let text = "`#[taskq_worker::test]` needs taskq-worker with its feature `testing` in the dev-dependencies; \
                 if it comes through another crate, say where: `#[test(crate = path::to::taskq_worker)]`";
            return Err(Error::new(Span::call_site(), text));
        }
    };
    let name = Ident::new(&name, Span::call_site());
    Ok(quote!(::#name))
}
