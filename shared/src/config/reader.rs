//! Reads one section of the tree. It notes which keys were asked for, so that what is left over is an unknown key and the
//! nearest valid one can be named; and it collects what is wrong instead of stopping at the first.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};

use super::{
    error::{Origin, Problem},
    source::{Entry, Value, split_list},
    values::Setting,
};

/// A value, and its name where it has one.
pub(super) type Named<T> = (Option<String>, T);

/// A section being read. Call `finish` once every key has been asked for.
pub(super) struct Section<'a> {
    name: String,
    entries: BTreeMap<String, Entry>,
    asked: Vec<&'static str>,
    problems: &'a mut Vec<Problem>,
    problems_before: usize,
    base: &'a Path,
}

impl<'a> Section<'a> {
    /// The whole tree as one section; relative paths of the file are taken from `base`.
    pub(super) fn root(entries: BTreeMap<String, Entry>, base: &'a Path, problems: &'a mut Vec<Problem>) -> Self {
        Self::new(String::new(), entries, base, problems)
    }

    fn new(name: String, entries: BTreeMap<String, Entry>, base: &'a Path, problems: &'a mut Vec<Problem>) -> Self {
        let problems_before = problems.len();
        Self { name, entries, asked: Vec::new(), problems, problems_before, base }
    }

    /// The section below `key`; an empty one where nothing is written.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'_> {
        let name = self.full(key);
        let entries = match self.take(key) {
            None => BTreeMap::new(),
            Some(Entry { value: Value::Table(entries), .. }) => entries,
            Some(Entry { origin, .. }) => {
                self.invalid(key, origin, format!("is a section: write it as [{name}]"));
                BTreeMap::new()
            }
        };
        Section::new(name, entries, self.base, self.problems)
    }

    /// Reads each table of a list of tables with `read`.
    pub(super) fn each<T>(&mut self, key: &'static str, mut read: impl FnMut(Section<'_>) -> Option<T>) -> Vec<T> {
        let name = self.full(key);
        let items = match self.take(key) {
            None => return Vec::new(),
            Some(Entry { value: Value::List(items), .. }) => items,
            Some(Entry { origin, .. }) => {
                self.invalid(key, origin, format!("is a list of sections: write each as [[{name}]]"));
                return Vec::new();
            }
        };
        let mut read_items = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let name = format!("{name}[{index}]");
            if let Value::Table(entries) = item.value {
                read_items.extend(read(Section::new(name, entries, self.base, self.problems)));
            } else {
                self.problems.push(Problem::Invalid { key: name, origin: item.origin, reason: "is not a section".into() });
            }
        }
        read_items
    }

    /// Whether anything is written in this section.
    pub(super) fn is_given(&self) -> bool {
        !self.entries.is_empty()
    }

    /// Reads a key.
    pub(super) fn get<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        let entry = self.take(key)?;
        self.parse(self.full(key), entry)
    }

    /// Reads a key and where it was written, for rules between keys.
    pub(super) fn get_with_origin<T: Setting>(&mut self, key: &'static str) -> Option<(T, Origin)> {
        let entry = self.take(key)?;
        let origin = entry.origin.clone();
        Some((self.parse(self.full(key), entry)?, origin))
    }

    /// Reads a list; `None` where the key is absent, which is not the same as an empty list.
    pub(super) fn list<T: Setting>(&mut self, key: &'static str) -> Option<Vec<T>> {
        let Entry { value, origin } = self.take(key)?;
        let items = match value {
            Value::List(items) => items,
            Value::Variable(text) => {
                let Some(items) = split_list(&text) else {
                    self.invalid(key, origin, "is neither a TOML list of texts nor values separated by commas".into());
                    return None;
                };
                items.into_iter().map(|item| Entry { value: Value::Variable(item), origin: origin.clone() }).collect()
            }
            Value::Scalar(_) | Value::Table(_) => {
                self.invalid(key, origin, "must be a list: write it in [ ]".into());
                return None;
            }
        };
        let name = self.full(key);
        let count = items.len();
        let parsed: Vec<T> =
            items.into_iter().enumerate().filter_map(|(index, item)| self.parse(format!("{name}[{index}]"), item)).collect();
        (parsed.len() == count).then_some(parsed)
    }

    /// Reads values that may have names, and where they were written: a list, or a section of `name = value`.
    pub(super) fn named<T: Setting>(&mut self, key: &'static str) -> Option<(Vec<Named<T>>, Origin)> {
        let origin = self.entries.get(key).map(|entry| entry.origin.clone())?;
        if !matches!(self.entries.get(key), Some(Entry { value: Value::Table(_), .. })) {
            return Some((self.list(key)?.into_iter().map(|value| (None, value)).collect(), origin));
        }
        let Some(Entry { value: Value::Table(entries), .. }) = self.take(key) else { return None };
        let (name, count) = (self.full(key), entries.len());
        let parsed: Vec<_> = entries
            .into_iter()
            .filter_map(|(own, entry)| Some((Some(own.clone()), self.parse(format!("{name}.{own}"), entry)?)))
            .collect();
        (parsed.len() == count).then_some((parsed, origin))
    }

    /// Reads a list and where it was written, for rules about its items.
    pub(super) fn list_with_origin<T: Setting>(&mut self, key: &'static str) -> Option<(Vec<T>, Origin)> {
        let origin = self.entries.get(key).map(|entry| entry.origin.clone());
        Some((self.list(key)?, origin?))
    }

    /// Reads a list of secrets from `key` itself or, one a line, from the file that its twin `file_key` names.
    pub(super) fn secret_list(&mut self, key: &'static str, file_key: &'static str) -> Option<(Vec<SecretString>, Origin)> {
        let Some(file) = self.entries.get(file_key).map(|entry| entry.origin.clone()) else {
            self.asked.push(file_key);
            let (texts, origin) = self.list_with_origin::<String>(key)?;
            return Some((texts.into_iter().map(SecretString::from).collect(), origin));
        };
        if let Some(inline) = self.take(key) {
            self.take(file_key);
            self.exclusive((key, inline.origin), (file_key, file));
            return None;
        }
        let (text, origin) = self.secret(key, file_key)?;
        let lines = text.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty());
        Some((lines.map(SecretString::from).collect(), origin))
    }

    /// Whether something was wrong so far, so that what is missing may only have been misspelt.
    pub(super) fn has_problems(&self) -> bool {
        self.problems.len() > self.problems_before
    }

    /// Reads a secret from `key` itself or from the file that its twin `file_key` names, and where it was written.
    pub(super) fn secret(&mut self, key: &'static str, file_key: &'static str) -> Option<(SecretString, Origin)> {
        match (self.take(key), self.take(file_key)) {
            (None, None) => None,
            (Some(inline), Some(file)) => {
                let problem = self.both(key, inline.origin, file_key, file.origin);
                self.problems.push(problem);
                None
            }
            (Some(inline), None) => {
                let origin = inline.origin.clone();
                let text = self.scalar(&self.full(key), inline)?;
                Some((SecretString::from(text), origin))
            }
            (None, Some(file)) => self.secret_file(file_key, file),
        }
    }

    /// Reads a path. A relative one of the file starts at the file's folder, one of a variable at the working folder.
    pub(super) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        let entry = self.take(key)?;
        self.path_of(key, entry)
    }

    /// Notes that a value is wrong; `reason` goes on after the key's name.
    pub(super) fn invalid(&mut self, key: &str, origin: Origin, reason: String) {
        let key = self.full(key);
        self.problems.push(Problem::Invalid { key, origin, reason });
    }

    /// Notes that a key is wanted.
    pub(super) fn missing(&mut self, key: &'static str, fix: &'static str) {
        self.problems.push(Problem::Missing { key, fix });
    }

    /// Notes that two keys exclude each other.
    pub(super) fn exclusive(&mut self, first: (&str, Origin), second: (&str, Origin)) {
        let problem = self.both(first.0, first.1, second.0, second.1);
        self.problems.push(problem);
    }

    /// Notes each key that nobody asked for.
    pub(super) fn finish(self) {
        for (key, entry) in &self.entries {
            self.problems.push(Problem::Unknown {
                key: join(&self.name, key),
                origin: entry.origin.clone(),
                nearest: nearest(key, &self.asked).map(|valid| spelt(&join(&self.name, valid), &entry.origin)),
            });
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Entry> {
        self.asked.push(key);
        self.entries.remove(key)
    }

    fn full(&self, key: &str) -> String {
        join(&self.name, key)
    }

    fn parse<T: Setting>(&mut self, key: String, entry: Entry) -> Option<T> {
        let origin = entry.origin.clone();
        let text = self.scalar(&key, entry)?;
        match T::parse(&text) {
            Ok(value) => Some(value),
            Err(reason) => {
                // What has an @ may carry a password.
                let reason =
                    if text.contains('@') { format!("is not right: {reason}") } else { format!("is {text:?}: {reason}") };
                self.problems.push(Problem::Invalid { key, origin, reason });
                None
            }
        }
    }

    fn scalar(&mut self, key: &str, entry: Entry) -> Option<String> {
        let reason = match entry.value {
            Value::Scalar(text) | Value::Variable(text) if !text.trim().is_empty() => return Some(text),
            Value::Scalar(_) | Value::Variable(_) => "is empty; give a value or leave the key out",
            Value::Table(_) => "must be one value, not a section",
            Value::List(_) => "must be one value, not a list",
        };
        self.problems.push(Problem::Invalid { key: key.to_owned(), origin: entry.origin, reason: reason.to_owned() });
        None
    }

    fn secret_file(&mut self, key: &'static str, entry: Entry) -> Option<(SecretString, Origin)> {
        let origin = entry.origin.clone();
        let path = self.path_of(key, entry)?;
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => {
                self.invalid(key, origin, format!("names {}, which is empty", path.display()));
                None
            }
            Ok(text) => Some((SecretString::from(text.trim_end_matches(['\r', '\n'])), origin)),
            Err(source) => {
                self.problems.push(Problem::SecretFile { key: self.full(key), origin, path, source });
                None
            }
        }
    }

    fn path_of(&mut self, key: &'static str, entry: Entry) -> Option<PathBuf> {
        let from_file = matches!(entry.origin, Origin::File { .. });
        let path = PathBuf::from(self.scalar(&self.full(key), entry)?);
        Some(if from_file { self.base.join(path) } else { path })
    }

    fn both(&self, first: &str, first_origin: Origin, second: &str, second_origin: Origin) -> Problem {
        Problem::Both { first: self.full(first), first_origin, second: self.full(second), second_origin }
    }
}

fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// The key as it would be written in the same place: `gateway.listen` in the file, `LOCKSTEP_GATEWAY__LISTEN` outside.
fn spelt(key: &str, origin: &Origin) -> String {
    match origin {
        Origin::File { .. } => key.to_owned(),
        Origin::Variable(_) => {
            let path = key.replace('[', ".").replace(']', "");
            format!("LOCKSTEP_{}", path.to_ascii_uppercase().replace('.', "__"))
        }
    }
}

fn nearest(key: &str, valid: &[&'static str]) -> Option<&'static str> {
    valid
        .iter()
        .map(|candidate| (strsim::jaro_winkler(key, candidate), *candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
