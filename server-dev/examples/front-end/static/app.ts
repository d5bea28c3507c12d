// `tsc static/app.ts --watch` writes app.js anew at each change.
const place: HTMLElement | null = document.getElementById("script");
if (place) {
    place.textContent = "hello from the script";
}
