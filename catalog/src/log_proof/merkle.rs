//! Merkle trees as RFC 6962 (section 2.1) has them: a root over the records so far, and the proof that one of them is under it.

use aws_lc_rs::digest::{Context, SHA256};

pub type Hash = [u8; 32];

/// Of the bytes that `feed` gives.
pub(crate) fn leaf(feed: impl FnOnce(&mut Context)) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    feed(&mut context);
    finish(context)
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[1]);
    context.update(left);
    context.update(right);
    finish(context)
}

pub(crate) fn finish(context: Context) -> Hash {
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// The root of a growing tree: the roots of its full subtrees, the largest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frontier {
    /// Leaves in the subtree, and its root.
    subtrees: Vec<(u64, Hash)>,
}

impl Frontier {
    pub(crate) fn push(&mut self, leaf: Hash) {
        let mut grown = (1, leaf);
        while let Some((leaves, left)) = self.subtrees.pop_if(|(leaves, _)| *leaves == grown.0) {
            grown = (leaves * 2, node(&left, &grown.1));
        }
        self.subtrees.push(grown);
    }

    /// That of a tree without leaves is the hash of nothing.
    pub(crate) fn root(&self) -> Hash {
        let mut subtrees = self.subtrees.iter().rev().map(|(_, root)| *root);
        match subtrees.next() {
            Some(last) => subtrees.fold(last, |right, left| node(&left, &right)),
            None => finish(Context::new(&SHA256)),
        }
    }
}

pub(crate) fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    frontier.root()
}

/// The hashes that lead from the leaf at `index` to the root, from below.
pub(crate) fn path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let split = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(split);
    let (mut below, beside) = if index < split { (path(left, index), root(right)) } else { (path(right, index - split), root(left)) };
    below.push(beside);
    below
}

/// The root that a path leads to; `None` where it does not fit a tree of that size (RFC 9162, section 2.1.3.2).
pub(crate) fn root_of_path(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for beside in path {
        if last == 0 {
            return None;
        }
        if at % 2 == 1 || at == last {
            hash = node(beside, &hash);
            while at.is_multiple_of(2) && at != 0 {
                at /= 2;
                last /= 2;
            }
        } else {
            hash = node(&hash, beside);
        }
        at /= 2;
        last /= 2;
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_proof::hex;

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|number| leaf(|context| context.update(&[u8::try_from(number).unwrap()]))).collect()
    }

    /// The inputs and roots of the test vectors in the reference implementation of RFC 6962.
    #[test]
    fn roots_are_those_of_the_rfc() {
        let inputs: [&[u8]; 4] = [b"", b"\x00", b"\x10", b"\x20\x21"];
        let leaves: Vec<Hash> = inputs.iter().map(|input| leaf(|context| context.update(input))).collect();
        assert_eq!(hex(&root(&[])), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex(&root(&leaves[..1])), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(hex(&root(&leaves[..2])), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
        assert_eq!(hex(&root(&leaves[..3])), "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77");
        assert_eq!(hex(&root(&leaves[..4])), "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7");
    }

    #[test]
    fn every_leaf_of_every_tree_has_its_path_and_no_other() {
        for size in 1..=40_usize {
            let leaves = leaves(size);
            let root = root(&leaves);
            for index in 0..size {
                let path = path(&leaves, index);
                let reached = |leaf, index, path: &[Hash]| root_of_path(leaf, index as u64, size as u64, path);
                assert_eq!(reached(leaves[index], index, &path), Some(root), "{index} of {size}");
                assert_ne!(reached(leaf(|context| context.update(b"other")), index, &path), Some(root));
                if size > 1 {
                    assert_ne!(reached(leaves[index], (index + 1) % size, &path), Some(root), "{index} of {size}");
                    assert_ne!(reached(leaves[index], index, &path[1..]), Some(root), "{index} of {size}");
                }
            }
        }
    }
}
