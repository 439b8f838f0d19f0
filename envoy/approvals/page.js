// Says that something has changed, and leaves it to the reader to reload: a
// list that moves by itself puts another button under the pointer.
const shown = document.body.dataset.state;
const news = document.getElementById("news");

async function look() {
  try {
    const answer = await fetch("/state", { cache: "no-store" });
    if (answer.ok && (await answer.text()) !== shown) {
      news.hidden = false;
      return;
    }
  } catch {
    // The server is away; asked again.
  }
  setTimeout(look, 3000);
}

if (shown && news) setTimeout(look, 3000);
