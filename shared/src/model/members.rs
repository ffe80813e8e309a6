//! Everybody in a group at one moment, packed: 24 bytes and the name for each, so that a group of a hundred thousand takes a
//! few megabytes. They are unpacked one by one, and whoever has been looked at takes no more room.

use std::vec;

use uuid::Uuid;

use super::group::Member;

/// How many lie in a block, which is freed when its last has been unpacked.
const BLOCK: usize = 256;

/// The members of a group as they were at one moment, in the order of their ids.
#[derive(Debug, Clone, Default)]
pub struct Members {
    full: Vec<Packed>,
    open: Block,
    count: usize,
}

/// Some of them; `text` has what is no id of ours and the names, one behind the other.
#[derive(Debug, Clone, Default)]
struct Block {
    entries: Vec<Entry>,
    text: String,
}

/// A block with no room to spare.
#[derive(Debug, Clone)]
struct Packed {
    entries: Box<[Entry]>,
    text: Box<str>,
}

/// 24 bytes.
#[expect(clippy::struct_excessive_bools, reason = "four bytes that are there anyway")]
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// An id of ours. A provider may name somebody by any text: then it is the length of that.
    id: Uuid,
    is_ours: bool,
    /// How long the name is, in bytes.
    display: u32,
    has_display: bool,
    is_group: bool,
    is_pending: bool,
}

impl Members {
    /// How many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn push(&mut self, member: &Member) {
        self.open.push(member);
        self.count += 1;
        if self.open.entries.len() == BLOCK {
            self.full.push(self.open.pack());
        }
    }
}

impl Block {
    fn push(&mut self, member: &Member) {
        let ours = ours(&member.id);
        let display = member.display.as_deref();
        for text in ours.is_none().then_some(member.id.as_str()).into_iter().chain(display) {
            self.text.push_str(text);
        }
        // No column holds four gigabytes.
        let length = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.entries.push(Entry {
            id: ours.unwrap_or_else(|| Uuid::from_u128(length(&member.id).into())),
            is_ours: ours.is_some(),
            display: display.map_or(0, length),
            has_display: display.is_some(),
            is_group: member.is_group,
            is_pending: member.is_pending,
        });
    }

    /// Takes all that is in it and leaves its room.
    fn pack(&mut self) -> Packed {
        let packed = Packed { entries: self.entries.as_slice().into(), text: self.text.as_str().into() };
        self.entries.clear();
        self.text.clear();
        packed
    }
}

/// The identifier, if it comes out again as the text that it was.
fn ours(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    (id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text).then_some(id)
}

impl Extend<Member> for Members {
    fn extend<I: IntoIterator<Item = Member>>(&mut self, members: I) {
        members.into_iter().for_each(|member| self.push(&member));
    }
}

impl FromIterator<Member> for Members {
    fn from_iter<I: IntoIterator<Item = Member>>(members: I) -> Self {
        let mut packed = Self::default();
        packed.extend(members);
        packed
    }
}

impl IntoIterator for Members {
    type Item = Member;
    type IntoIter = Unpacked;

    fn into_iter(mut self) -> Unpacked {
        self.full.push(self.open.pack());
        Unpacked { blocks: self.full.into_iter(), entries: Vec::new().into_iter(), text: Box::default(), at: 0 }
    }
}

/// Unpacks members one by one.
#[derive(Debug)]
pub struct Unpacked {
    blocks: vec::IntoIter<Packed>,
    entries: vec::IntoIter<Entry>,
    text: Box<str>,
    /// How much of the text has been read.
    at: usize,
}

impl Unpacked {
    fn next_entry(&mut self) -> Option<Entry> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Some(entry);
            }
            let block = self.blocks.next()?;
            (self.entries, self.text, self.at) = (block.entries.into_vec().into_iter(), block.text, 0);
        }
    }

    fn read(&mut self, length: u128) -> String {
        let from = self.at;
        self.at = from.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        self.text.get(from..self.at).unwrap_or_default().to_owned()
    }
}

impl Iterator for Unpacked {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        let Entry { id, is_ours, display, has_display, is_group, is_pending } = self.next_entry()?;
        let id = if is_ours { id.to_string() } else { self.read(id.as_u128()) };
        let display = has_display.then(|| self.read(display.into()));
        Some(Member { id, display, is_group, is_pending })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(number: usize) -> Member {
        let id = match number % 4 {
            0 => format!("CN=Ünï {number}"),
            1 => Uuid::from_u128(u128::try_from(number).unwrap()).to_string().replace('0', "A"),
            _ => Uuid::from_u128(u128::try_from(number).unwrap() << 64).to_string(),
        };
        let display = match number % 3 {
            0 => None,
            1 => Some(String::new()),
            _ => Some(format!("Jörg {number}")),
        };
        Member { id, display, is_group: number.is_multiple_of(5), is_pending: number.is_multiple_of(7) }
    }

    #[test]
    fn members_are_unpacked_as_they_were_packed() {
        for count in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 7] {
            let members: Vec<Member> = (0..count).map(member).collect();

            let packed: Members = members.iter().cloned().collect();

            assert_eq!((packed.len(), packed.is_empty()), (count, count == 0));
            assert_eq!(packed.into_iter().collect::<Vec<_>>(), members);
        }
    }

    #[test]
    fn a_spelling_of_an_id_is_kept() {
        for other in
            ["0190AAAA-0000-7000-8000-000000000001", "{01900000-0000-7000-8000-000000000001}", "01900000000070008000000000000001"]
        {
            let packed = Members::from_iter([Member { id: other.into(), ..member(0) }]);

            assert_eq!(packed.into_iter().next().unwrap().id, other);
        }
    }

    #[test]
    fn a_member_with_a_name_takes_little_room() {
        let person = |number: u128| Member {
            id: Uuid::from_u128(number).to_string(),
            display: Some(format!("user{number:06}@acme.example")),
            is_group: false,
            is_pending: false,
        };
        let packed: Members = (0..100_000).map(person).collect();

        let of_blocks: usize = packed.full.iter().map(|block| size_of_val(&*block.entries) + block.text.len()).sum();
        let room = of_blocks + packed.full.capacity() * size_of::<Packed>();

        assert!(room < 5_000_000, "{room} bytes");
    }
}
