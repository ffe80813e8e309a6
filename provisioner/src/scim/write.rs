//! Answers as text. What may be without measure, a list that the store has as rows, is written while the text is read, a piece at a
//! time; all else is small and stands ready.

use std::{collections::VecDeque, fmt, mem};

use bytes::Bytes;
use serde_json::Value;

use super::Document;
use super::list::ListResponse;

/// A piece that is written while it is read has at least so much, but for the last one.
const PIECE: usize = 16 * 1024;

/// The entries of a list, which are written one by one.
pub trait Entries: fmt::Debug + Send + Sync {
    /// Writes the next entry behind the text, or says that there is none.
    fn write(&mut self, text: &mut Vec<u8>) -> Result<bool, serde_json::Error>;
}

/// A resource as it is answered.
#[derive(Debug)]
pub struct Shown {
    /// Its attributes, with an empty list in the place of the entries.
    document: Document,
    rows: Option<(&'static str, Box<dyn Entries>)>,
}

impl Shown {
    /// A resource whose `name`, if the document has it, has these entries and no others.
    pub fn with_rows(document: Document, name: &'static str, entries: impl Entries + 'static) -> Self {
        Self { document, rows: Some((name, Box::new(entries))) }
    }
}

impl From<Document> for Shown {
    fn from(document: Document) -> Self {
        Self { document, rows: None }
    }
}

/// JSON text. It is an iterator of its pieces; an error breaks it off where the rest is not to be had.
#[derive(Debug, Default)]
pub struct Text {
    pieces: VecDeque<Piece>,
}

#[derive(Debug)]
enum Piece {
    Ready(Vec<u8>),
    Entries { entries: Box<dyn Entries>, is_begun: bool },
}

impl Text {
    /// Whether nothing is left of it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.pieces.is_empty()
    }

    fn put(&mut self, text: &str) {
        if let Some(Piece::Ready(ready)) = self.pieces.back_mut() {
            ready.extend_from_slice(text.as_bytes());
        } else {
            self.pieces.push_back(Piece::Ready(text.into()));
        }
    }

    fn put_member(&mut self, name: &str, value: &str, is_first: bool) {
        let comma = if is_first { "" } else { "," };
        self.put(&format!("{comma}{}:{value}", Value::from(name)));
    }

    fn put_resource(&mut self, resource: Shown) {
        let Shown { document, mut rows } = resource;
        self.put("{");
        for (at, (name, value)) in document.iter().enumerate() {
            match rows.take_if(|(rows, _)| rows == name) {
                None => self.put_member(name, &value.to_string(), at == 0),
                Some((_, entries)) => {
                    self.put_member(name, "[", at == 0);
                    self.pieces.push_back(Piece::Entries { entries, is_begun: false });
                    self.put("]");
                }
            }
        }
        self.put("}");
    }
}

impl From<&Value> for Text {
    fn from(value: &Value) -> Self {
        Self { pieces: [Piece::Ready(value.to_string().into())].into() }
    }
}

impl From<Shown> for Text {
    fn from(resource: Shown) -> Self {
        let mut text = Self::default();
        text.put_resource(resource);
        text
    }
}

impl From<ListResponse<Shown>> for Text {
    fn from(list: ListResponse<Shown>) -> Self {
        let mut text = Self::default();
        text.put("{");
        for (at, (name, value)) in list.head().iter().enumerate() {
            text.put_member(name, &value.to_string(), at == 0);
        }
        text.put_member("Resources", "[", false);
        for (at, resource) in list.resources.into_iter().enumerate() {
            if at > 0 {
                text.put(",");
            }
            text.put_resource(resource);
        }
        text.put("]}");
        text
    }
}

impl Iterator for Text {
    type Item = Result<Bytes, serde_json::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut text = Vec::new();
        while text.len() < PIECE {
            let Some(piece) = self.pieces.front_mut() else { break };
            match piece.append(&mut text) {
                Ok(true) => {}
                Ok(false) => drop(self.pieces.pop_front()),
                Err(error) => {
                    self.pieces.clear();
                    return Some(Err(error));
                }
            }
        }
        (!text.is_empty()).then(|| Ok(text.into()))
    }
}

impl Piece {
    /// Writes some of itself behind the text, and says whether there may be more.
    fn append(&mut self, text: &mut Vec<u8>) -> Result<bool, serde_json::Error> {
        match self {
            Self::Ready(ready) if text.is_empty() => *text = mem::take(ready),
            Self::Ready(ready) => text.append(ready),
            Self::Entries { entries, is_begun } => {
                let end = text.len();
                if *is_begun {
                    text.push(b',');
                }
                if entries.write(text)? {
                    *is_begun = true;
                    return Ok(true);
                }
                text.truncate(end);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::cases;
    use super::*;

    /// Entries that are known beforehand.
    #[derive(Debug)]
    struct Known(VecDeque<Value>);

    impl Entries for Known {
        fn write(&mut self, text: &mut Vec<u8>) -> Result<bool, serde_json::Error> {
            let Some(entry) = self.0.pop_front() else { return Ok(false) };
            serde_json::to_writer(text, &entry)?;
            Ok(true)
        }
    }

    /// Breaks in the middle of an entry.
    #[derive(Debug)]
    struct Breaking;

    impl Entries for Breaking {
        fn write(&mut self, text: &mut Vec<u8>) -> Result<bool, serde_json::Error> {
            text.extend_from_slice(b"{\"val");
            Err(serde::ser::Error::custom("broken"))
        }
    }

    fn resource(document: Value) -> Document {
        let Value::Object(document) = document else { panic!("{document} is no object") };
        document
    }

    fn with_members(document: &Document, members: &[Value]) -> Shown {
        Shown::with_rows(document.clone(), "members", Known(members.iter().cloned().collect()))
    }

    fn whole(document: &Document, members: &[Value]) -> Value {
        let mut whole = Value::Object(document.clone());
        if let Some(list) = whole.get_mut("members") {
            *list = members.into();
        }
        whole
    }

    fn read(text: Text) -> String {
        let pieces: Result<Vec<Bytes>, _> = text.collect();
        String::from_utf8(pieces.unwrap().concat()).unwrap()
    }

    fn known() -> ListResponse {
        ListResponse { total_results: Some(9), start_index: Some(1), ..ListResponse::default() }
    }

    fn list(resources: Vec<Shown>) -> ListResponse<Shown> {
        ListResponse { total_results: Some(9), start_index: Some(1), resources, ..ListResponse::default() }
    }

    prop_compose! {
        /// A resource that has its members somewhere, or not at all; some are longer than a piece.
        fn group()(
            names in proptest::collection::vec("[a-z\"\\\\\u{e9}]{1,6}", 0..4),
            at in proptest::option::of(0_usize..4),
            members in proptest::collection::vec(("\\PC{0,40}", 0_usize..3), 0..8),
        ) -> (Document, Vec<Value>) {
            let mut entries: Vec<(String, Value)> = names.into_iter().map(|name| (name, json!({"a": [1, "\u{1f600}"]}))).collect();
            if let Some(at) = at {
                entries.insert(at.min(entries.len()), ("members".to_owned(), json!([])));
            }
            let members = members.into_iter().map(|(text, size)| json!({"value": text.repeat(1 + size * 400)}));
            (entries.into_iter().collect(), members.collect())
        }
    }

    proptest! {
        #![proptest_config(cases(200))]

        #[test]
        fn what_is_written_piece_by_piece_is_the_same_text(groups in proptest::collection::vec(group(), 0..4)) {
            let all: Vec<Value> = groups.iter().map(|(document, members)| whole(document, members)).collect();

            for ((document, members), whole) in groups.iter().zip(&all) {
                prop_assert_eq!(read(with_members(document, members).into()), whole.to_string());
                prop_assert_eq!(read(Shown::from(document.clone()).into()), Value::Object(document.clone()).to_string());
            }
            let shown = groups.iter().map(|(document, members)| with_members(document, members)).collect();
            let whole = ListResponse { resources: all, ..known() };
            prop_assert_eq!(read(list(shown).into()), whole.into_value().to_string());
        }
    }

    #[test]
    fn no_piece_is_longer_than_it_has_to_be() {
        let document = resource(json!({"id": "g1", "members": [], "meta": {}}));
        let members: Vec<Value> = (0..10_000).map(|number| json!({"value": format!("{number:036}")})).collect();

        let pieces: Vec<Bytes> = Text::from(with_members(&document, &members)).map(Result::unwrap).collect();

        assert!(pieces.len() > 20, "{} pieces", pieces.len());
        assert!(pieces.iter().all(|piece| piece.len() < PIECE + 100));
    }

    #[test]
    fn what_has_no_entries_to_be_written_is_one_piece_and_so_is_what_has_few() {
        let document = resource(json!({"id": "g1", "members": []}));
        let long = json!({"id": "x".repeat(10 * PIECE)});
        for (text, expected) in [
            (Text::from(Shown::from(document.clone())), r#"{"id":"g1","members":[]}"#.to_owned()),
            (list(vec![Shown::from(resource(long.clone())), Shown::from(document.clone())]).into(), {
                ListResponse { resources: vec![long.clone(), json!(document)], ..known() }.into_value().to_string()
            }),
            (with_members(&resource(json!({"id": "g1"})), &[json!({"value": "u1"})]).into(), r#"{"id":"g1"}"#.to_owned()),
            (with_members(&document, &[json!({"value": "u1"})]).into(), r#"{"id":"g1","members":[{"value":"u1"}]}"#.to_owned()),
            (Text::from(&long), long.to_string()),
        ] {
            let mut text = text;
            assert_eq!(text.next().unwrap().unwrap(), expected);
            assert!(text.is_over(), "{expected}");
        }
        let mut text = Text::from(with_members(&document, &[json!({"value": "u".repeat(PIECE)}), json!({"value": "u2"})]));
        assert!(text.next().is_some() && !text.is_over());
    }

    #[test]
    fn what_cannot_be_written_is_broken_off_and_not_ended() {
        let document = resource(json!({"id": "g1", "members": []}));

        let pieces: Vec<_> = Text::from(Shown::with_rows(document, "members", Breaking)).collect();

        assert!(matches!(pieces.as_slice(), [Err(_)]), "{pieces:?}");
    }
}
