//! The same SVG as a bitmap.

use std::sync::Arc;

use resvg::{
    tiny_skia::{Color, Pixmap, Transform},
    usvg::{Options, Tree, fontdb::Database},
};

use super::canvas::Drawing;

/// Pixels per tenth of a millimetre: 300 dots per inch.
const SCALE: f32 = 300.0 / 254.0;

/// Renders a drawing at 300 dpi on white; `None` if the SVG cannot be rendered.
pub(crate) fn png(drawing: &Drawing) -> Option<Vec<u8>> {
    let mut fonts = Database::new();
    super::fonts().iter().for_each(|bytes| fonts.load_font_data(bytes.to_vec()));
    let options = Options { fontdb: Arc::new(fonts), ..Options::default() };
    let tree = Tree::from_str(&drawing.svg, &options).ok()?;
    let size = |tenths: u32| (tenths as f32 * SCALE).ceil() as u32;
    let mut pixmap = Pixmap::new(size(drawing.width), size(drawing.height))?;
    pixmap.fill(Color::WHITE);
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixmap.as_mut());
    pixmap.encode_png().ok()
}
