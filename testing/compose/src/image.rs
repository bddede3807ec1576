//! A Dockerfile and its `.dockerignore`.

use std::fs;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

/// A star stands for a part of one name, as in a shell.
const IN_ONE_NAME: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// How an image is made, and of which files.
#[derive(Debug, Clone)]
pub struct Image {
    /// The instructions, in their order.
    pub instructions: Vec<Instruction>,
    ignored: Vec<Rule>,
}

/// One instruction: `COPY . .` has the name `COPY` and the rest `. .`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// Its name, in capitals.
    pub name: String,
    /// What follows, continued lines together.
    pub rest: String,
}

#[derive(Debug, Clone)]
struct Rule {
    lets_through: bool,
    pattern: Pattern,
}

impl Image {
    /// Reads the texts of both files.
    ///
    /// # Errors
    /// An instruction that is nothing but a name, or a pattern that is none.
    pub fn read(dockerfile: &str, dockerignore: &str) -> Result<Self, String> {
        let lines = dockerfile.lines().map(str::trim);
        let lines: Vec<&str> = lines.filter(|l| !l.starts_with('#')).collect();
        let text = lines.join("\n").replace("\\\n", " ");
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let instructions = lines.map(|line| {
            let (name, rest) = line
                .split_once(' ')
                .ok_or_else(|| format!("{line}: nothing follows"))?;
            Ok(Instruction {
                name: name.to_uppercase(),
                rest: rest.split_whitespace().collect::<Vec<_>>().join(" "),
            })
        });
        let patterns = dockerignore.lines().map(str::trim);
        let patterns = patterns.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let ignored = patterns.map(|line| {
            let pattern = line.trim_start_matches('!').trim_matches('/');
            let pattern = Pattern::new(pattern).map_err(|e| format!("{line}: {e}"))?;
            Ok(Rule {
                lets_through: line.starts_with('!'),
                pattern,
            })
        });
        Ok(Self {
            instructions: instructions.collect::<Result<_, String>>()?,
            ignored: ignored.collect::<Result<_, String>>()?,
        })
    }

    /// The stages, each from its `FROM` on.
    #[must_use]
    pub fn stages(&self) -> Vec<&[Instruction]> {
        let mut starts: Vec<usize> = Vec::new();
        for (at, instruction) in self.instructions.iter().enumerate() {
            if instruction.name == "FROM" {
                starts.push(at);
            }
        }
        let ends = starts.iter().skip(1).copied();
        let ends = ends.chain([self.instructions.len()]);
        let pairs = starts.iter().zip(ends);
        pairs
            .filter_map(|(&from, to)| self.instructions.get(from..to))
            .collect()
    }

    /// Whether a file of the repository reaches the build, by its path from the top: of the patterns that fit it or a folder that
    /// it is in, the last one decides.
    #[must_use]
    pub fn lets_through(&self, path: &Path) -> bool {
        let fits = |rule: &&Rule| {
            let mut parts = path.ancestors();
            parts.any(|part| rule.pattern.matches_path_with(part, IN_ONE_NAME))
        };
        self.ignored
            .iter()
            .rfind(fits)
            .is_none_or(|r| r.lets_through)
    }

    /// Every file below `top` that reaches the build, by its path from there.
    ///
    /// # Panics
    /// When a folder can not be read.
    #[must_use]
    pub fn context(&self, top: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![top.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                let below = path.strip_prefix(top).expect("a path below").to_owned();
                let top_level = below.components().count() == 1;
                if !path.is_dir() {
                    if self.lets_through(&below) {
                        found.push(below);
                    }
                // Nothing in a folder at the top is let through but with it, and there are large ones.
                } else if !top_level || self.lets_through(&below) {
                    folders.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continued_lines_are_one_instruction_and_comments_none() {
        let text = "# syntax\nFROM a AS b\nRUN x \\\n# why\n  && y\n\ncopy . .\nFROM c\nUSER 1\n";
        let image = Image::read(text, "").expect("a Dockerfile");
        let told = image.instructions.iter();
        let told: Vec<_> = told.map(|i| format!("{} {}", i.name, i.rest)).collect();
        assert_eq!(
            told,
            ["FROM a AS b", "RUN x && y", "COPY . .", "FROM c", "USER 1"]
        );
        let stages: Vec<usize> = image.stages().iter().map(|s| s.len()).collect();
        assert_eq!(stages, [3, 2]);
        assert!(Image::read("FROM", "").is_err());
    }

    #[test]
    fn the_last_pattern_that_fits_decides() {
        let ignore = "*\n!a-*\n!Cargo.toml\n**/target\n";
        let image = Image::read("", ignore).expect("patterns");
        for (path, through) in [
            ("Cargo.toml", true),
            ("a-b/src/lib.rs", true),
            ("a-b/Cargo.toml", true),
            ("README.md", false),
            ("docs/a-b.md", false),
            ("target/debug/x", false),
            ("a-b/target/x", false),
            (".git/HEAD", false),
        ] {
            assert_eq!(image.lets_through(Path::new(path)), through, "{path}");
        }
    }
}
