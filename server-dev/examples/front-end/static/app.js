// `tsc static/app.ts --watch` writes app.js anew at each change.
var place = document.getElementById("script");
if (place) {
    place.textContent = "hello from the script";
}
