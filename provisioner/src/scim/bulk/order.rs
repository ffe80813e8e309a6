//! In what order operations are carried out that refer to each other: as they stand, but whatever refers to a later one waits for it,
//! and those that refer to each other in a circle are one step.

use std::{cmp::Reverse, collections::BinaryHeap};

/// The steps, each of one operation or of a circle. `dependencies` says for each operation to which others it refers.
#[must_use]
pub fn steps(dependencies: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let circles = circles(dependencies);
    let mut circle_of = vec![0; dependencies.len()];
    for (number, members) in circles.iter().enumerate() {
        for at in members {
            set(&mut circle_of, *at, number);
        }
    }
    // Between circles there are no circles any more: each is ready when those that it refers to are done.
    let (mut referrers, mut awaited) = (vec![Vec::new(); circles.len()], vec![0_usize; circles.len()]);
    for (at, others) in dependencies.iter().enumerate() {
        let own = get(&circle_of, at);
        for other in others.iter().map(|other| get(&circle_of, *other)).filter(|other| *other != own) {
            if let (Some(referrers), Some(awaited)) = (referrers.get_mut(other), awaited.get_mut(own)) {
                referrers.push(own);
                *awaited += 1;
            }
        }
    }
    // A circle takes the place of its last operation: to come later is to wait.
    let place = |number: usize| circles.get(number).and_then(|members| members.last().copied()).unwrap_or_default();
    let free = awaited.iter().enumerate().filter(|(_, awaited)| **awaited == 0);
    let mut ready: BinaryHeap<Reverse<(usize, usize)>> = free.map(|(number, _)| Reverse((place(number), number))).collect();
    let mut steps = Vec::with_capacity(circles.len());
    while let Some(Reverse((_, number))) = ready.pop() {
        steps.extend(circles.get(number).cloned());
        for referrer in referrers.get(number).into_iter().flatten() {
            if let Some(awaited) = awaited.get_mut(*referrer) {
                *awaited -= 1;
                if *awaited == 0 {
                    ready.push(Reverse((place(*referrer), *referrer)));
                }
            }
        }
    }
    steps
}

/// The strongly connected components, each in ascending order (Kosaraju: the second walk, against the references and from whoever
/// was left last, stays within one).
fn circles(dependencies: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut referrers: Vec<Vec<usize>> = vec![Vec::new(); dependencies.len()];
    for (at, others) in dependencies.iter().enumerate() {
        for other in others {
            referrers.get_mut(*other).into_iter().for_each(|referrers| referrers.push(at));
        }
    }
    let mut seen = vec![false; dependencies.len()];
    let left: Vec<usize> = (0..dependencies.len()).flat_map(|from| walk(from, dependencies, &mut seen)).collect();
    let mut seen = vec![false; dependencies.len()];
    let found = left.into_iter().rev().map(|from| {
        let mut circle = walk(from, &referrers, &mut seen);
        circle.sort_unstable();
        circle
    });
    found.filter(|circle| !circle.is_empty()).collect()
}

/// Whoever is reached from here and was not seen, in the order in which the walk leaves them for good.
fn walk(from: usize, next: &[Vec<usize>], seen: &mut [bool]) -> Vec<usize> {
    let mut is_new = |at: usize| seen.get_mut(at).is_some_and(|seen| !std::mem::replace(seen, true));
    let (mut left, mut path) = (Vec::new(), Vec::new());
    if is_new(from) {
        path.push((from, 0));
    }
    while let Some((at, taken)) = path.last_mut() {
        if let Some(other) = next.get(*at).and_then(|others| others.get(*taken)) {
            *taken += 1;
            if is_new(*other) {
                path.push((*other, 0));
            }
        } else {
            left.push(*at);
            path.pop();
        }
    }
    left
}

fn get(numbers: &[usize], at: usize) -> usize {
    numbers.get(at).copied().unwrap_or_default()
}

fn set(numbers: &mut [usize], at: usize, number: usize) {
    if let Some(slot) = numbers.get_mut(at) {
        *slot = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_stand_as_they_were_sent_unless_they_wait() {
        type Case<'c> = (&'c [&'c [usize]], &'c [&'c [usize]]);
        let table: [Case<'_>; 8] = [
            (&[], &[]),
            (&[&[], &[], &[]], &[&[0], &[1], &[2]]),
            (&[&[], &[0], &[1]], &[&[0], &[1], &[2]]),
            (&[&[3], &[], &[], &[]], &[&[1], &[2], &[3], &[0]]),
            (&[&[2], &[0], &[], &[]], &[&[2], &[0], &[1], &[3]]),
            (&[&[2], &[], &[0]], &[&[1], &[0, 2]]),
            (&[&[1], &[2], &[1], &[0]], &[&[1, 2], &[0], &[3]]),
            (&[&[1, 2], &[0], &[3], &[2], &[0]], &[&[2, 3], &[0, 1], &[4]]),
        ];
        for (dependencies, expected) in table {
            let dependencies: Vec<Vec<usize>> = dependencies.iter().map(|others| others.to_vec()).collect();

            assert_eq!(steps(&dependencies), expected, "{dependencies:?}");
        }
    }

    #[test]
    fn a_thousand_operations_that_all_refer_to_each_other_are_one_step() {
        let all: Vec<Vec<usize>> = (0..1_000).map(|at| (0..1_000).filter(|other| *other != at).collect()).collect();

        assert_eq!(steps(&all), [(0..1_000).collect::<Vec<_>>()]);
    }

    #[test]
    fn a_chain_of_a_thousand_forward_references_is_carried_out_backwards() {
        let chain: Vec<Vec<usize>> = (0..1_000).map(|at| (at + 1..1_000.min(at + 2)).collect()).collect();

        assert_eq!(steps(&chain), (0..1_000).rev().map(|at| vec![at]).collect::<Vec<_>>());
    }
}
