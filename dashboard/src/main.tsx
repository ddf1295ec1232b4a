import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./style/index.css";
import { AppContext, begin, createApp } from "./app";
import { Page } from "./views/page";

const app = createApp();
render(
  <AppContext.Provider value={app}>
    <Page />
  </AppContext.Provider>,
  document.getElementById("app")!,
);
begin(app);
