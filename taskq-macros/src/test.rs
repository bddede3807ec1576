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

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn refusal(options: TokenStream, item: TokenStream) -> String {
        expand(options, item).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_test_is_refused() {
        for item in [
            quote!(
                fn plain(broker: TestBroker) {}
            ),
            quote!(
                async fn without() {}
            ),
            quote!(
                async fn two(broker: TestBroker, other: u8) {}
            ),
            quote!(
                async fn generic<T>(broker: TestBroker) {}
            ),
            quote!(
                struct Broker;
            ),
        ] {
            assert_eq!(refusal(quote!(crate = here), item.clone()), SHAPE, "{item}");
        }
    }

    #[test]
    fn an_option_that_is_none_is_refused_with_those_there_are() {
        let item = quote!(
            async fn it(broker: TestBroker) {}
        );
        for (options, text) in [
            (quote!(inlined), "`inlined` is none of the options"),
            (
                quote!(inline = true),
                "`inline` is none of the options, or not written as one",
            ),
            (
                quote!(start_paused = 1),
                "`start_paused` must be `true` or `false`",
            ),
            (quote!(crate = 1), "`crate` must be the path"),
        ] {
            let refusal = refusal(options, item.clone());
            assert!(refusal.contains(text), "{refusal}");
        }
    }

    #[test]
    fn its_attributes_and_its_return_type_stay() {
        let item = quote!(
            #[ignore = "slow"]
            async fn it(broker: TestBroker) -> Result<(), E> {
                Ok(())
            }
        );
        let written = expand(quote!(crate = kit, inline), item)
            .unwrap()
            .to_string();
        for part in [
            "# [ignore = \"slow\"]",
            "fn it () -> Result < () , E >",
            "builder () . inline ()",
            "true",
        ] {
            assert!(written.contains(part), "{part}: {written}");
        }
    }
}
