//! The Lua scripts and the only way to call them.

use std::sync::LazyLock;

use redis::{Cmd, Script, cmd};

/// One script: its name, its text, its digest.
pub(super) struct Lua {
    #[cfg(test)]
    name: &'static str,
    text: &'static str,
    script: LazyLock<Script>,
}

/// Declares the scripts, each with the fragments it begins with.
macro_rules! scripts {
    ($($name:ident = $file:literal $(+ $fragment:literal)*;)*) => {
        $(
            pub(super) static $name: Lua = Lua {
                #[cfg(test)]
                name: $file,
                text: concat!($(include_str!(concat!("lua/_", $fragment, ".lua")), "\n",)* include_str!(concat!("lua/", $file, ".lua"))),
                script: LazyLock::new(|| Script::new($name.text)),
            };
        )*
        /// All scripts.
        pub(super) static ALL: &[&Lua] = &[$(&$name),*];
    };
}

scripts! {
    ENQUEUE = "enqueue" + "time" + "typed" + "record";
    OPEN = "open" + "time";
    CLAIM = "claim" + "time" + "typed";
    FINISH = "finish" + "time" + "typed" + "record";
    BEAT = "beat" + "time";
    RETIRE = "retire";
    RESIGN = "resign" + "time";
    CLOSE = "close" + "time";
    EXPIRED = "expired" + "time";
    TAKE = "take" + "time";
    GIVE = "give" + "time" + "typed" + "record";
    REGISTER = "register" + "time";
    CARD = "card";
    PUBLISH = "publish" + "time";
    ALIVE = "alive" + "time";
}

impl Lua {
    /// The call of this script, up to and including its keys; arguments follow.
    pub(super) fn call<K: AsRef<str>>(&self, keys: impl IntoIterator<Item = K>) -> Cmd {
        let keys: Vec<K> = keys.into_iter().collect();
        let mut call = cmd("EVALSHA");
        call.arg(self.script.get_hash()).arg(keys.len());
        for key in &keys {
            call.arg(key.as_ref());
        }
        call
    }

    /// The command that makes the server know it.
    pub(super) fn load(&self) -> Cmd {
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(self.text);
        load
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of each file names its KEYS and ARGV; the body uses no others, and all of them.
    #[test]
    fn headers_tell_what_the_scripts_use() {
        for lua in ALL {
            let own = lua.text.split(&format!("-- {}.lua: ", lua.name)).nth(1);
            let own = own.unwrap_or_else(|| {
                panic!("{}.lua does not begin with its name and duty", lua.name)
            });
            let (header, body): (Vec<&str>, Vec<&str>) =
                own.lines().skip(1).partition(|l| l.starts_with("--"));
            let (header, body) = (header.join("\n"), body.join("\n"));
            assert!(
                header.contains("-- returns ") && header.contains("-- events "),
                "{}",
                lua.name
            );
            for table in ["KEYS", "ARGV"] {
                for index in 1..=6 {
                    let used = body.contains(&format!("{table}[{index}]"))
                        || (table == "ARGV" && index == 1 && lua.text.contains("+ ARGV[1]"));
                    let told = header.contains(&format!("{table}[{index}]"))
                        || header.contains(&format!("{table}[{index}."));
                    if used {
                        assert!(
                            told,
                            "{}.lua uses {table}[{index}], its header does not tell",
                            lua.name
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn every_file_is_a_script_or_a_fragment() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/broker/redis/lua");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let stem = name.strip_suffix(".lua").unwrap();
            assert!(
                stem.starts_with('_') || ALL.iter().any(|l| l.name == stem),
                "{name} is used by no one"
            );
        }
    }
}
