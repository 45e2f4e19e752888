//! Rows that nobody needs any more, so that what is kept of a source does not grow with it.

use super::{Categories, Tracker};

impl Tracker {
    /// Forgets the rows that can get no more chunks, but for those that `keep` names, and gives the new place of each.
    pub fn forget(&mut self, keep: impl Fn(usize) -> bool) -> Vec<Option<usize>> {
        let mut places: Vec<Option<usize>> = vec![None; self.rows.len()];
        if self.rows.is_empty() {
            return places;
        }
        // The next row up that stays. What is between can no longer turn out to be another stream, but for a part of a row
        // that may still come again.
        let mut parents: Vec<Option<usize>> = Vec::with_capacity(self.rows.len());
        let mut left = 0;
        for number in 0..self.rows.len() {
            let parent = self.rows[number].parent.and_then(|parent| places[parent].or(parents[parent]));
            parents.push(parent);
            let continues_an_open_row = parent.is_some_and(|parent| self.rows[parent].open);
            let was_ended = self.ended == Some(number) || self.others.values().any(|one| one.ended == Some(number));
            let is_asked_for = was_ended || self.last_row == number || keep(number);
            if self.rows[number].open || continues_an_open_row || is_asked_for {
                self.rows.swap(left, number);
                self.rows[left].parent = parent;
                places[number] = Some(left);
                left += 1;
            }
        }
        self.rows.truncate(left);
        let place = |row: usize| places[row].unwrap_or_default();
        self.open.iter_mut().chain(&mut self.open_rows).for_each(|row| *row = place(*row));
        self.current = self.current.map(place);
        self.ended = self.ended.map(place);
        self.last_row = place(self.last_row);
        for aside in self.others.values_mut() {
            aside.open.iter_mut().chain(&mut aside.open_rows).for_each(|row| *row = place(*row));
            aside.current = aside.current.map(place);
            aside.ended = aside.ended.map(place);
            let children = std::mem::take(&mut aside.children).into_iter();
            let still = |parts: Vec<usize>| parts.into_iter().filter_map(|part| places[part]).collect();
            aside.children = children.filter_map(|(row, parts)| Some((places[row]?, still(parts)))).collect();
            aside.here_mut().rows.clear();
        }
        self.here.rows.clear();
        if let Some(news) = &mut self.news {
            *news = news.iter().filter_map(|&row| places[row]).collect();
        }
        self.children.clear();
        for (number, row) in self.rows.iter().enumerate() {
            if let Some(parent) = row.parent {
                self.children.entry(parent).or_default().push(number);
            }
        }
        self.forget_texts();
        places
    }

    /// Forgets the texts that no row has any more.
    fn forget_texts(&mut self) {
        let models = std::mem::take(&mut self.models);
        let finish_reasons = std::mem::take(&mut self.finish_reasons);
        let move_to = |known: &mut Categories, text: Option<&[u8]>| text.map_or(-1, |text| known.code(text));
        for row in &mut self.rows {
            row.model = move_to(&mut self.models, models.text(row.model));
            row.finish_reason = move_to(&mut self.finish_reasons, finish_reasons.text(row.finish_reason));
        }
    }
}
