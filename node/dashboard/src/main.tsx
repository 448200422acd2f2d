import { render } from 'preact';
import type { JSX } from 'preact';
import 'uplot/dist/uPlot.min.css';
import './style.css';
import './views.css';
import { Events } from './events.tsx';
import { Frame } from './frame.tsx';
import { listenToKeys } from './keys.ts';
import { begin } from './live.ts';
import { NewTask } from './new-task.tsx';
import { Nodes } from './nodes.tsx';
import { Overview } from './overview.tsx';
import { keepTime } from './parts.tsx';
import { follow, route } from './route.ts';
import { asked } from './session.ts';
import { SignIn } from './sign-in.tsx';
import { Schedules } from './schedules.tsx';
import { Task } from './task.tsx';
import { Tasks } from './tasks.tsx';
import { Types } from './types.tsx';
import { Workflow } from './workflow.tsx';
import { Workflows } from './workflows.tsx';

function Page(): JSX.Element {
  return <Frame>{asked.value === null ? <Shown /> : <SignIn />}</Frame>;
}

function Shown(): JSX.Element {
  const { view, id } = route.value;
  switch (view) {
    case 'tasks':
      return <Tasks />;
    case 'task':
      return <Task key={id} id={id} />;
    case 'workflows':
      return <Workflows />;
    case 'workflow':
      return <Workflow key={id} id={id} />;
    case 'schedules':
      return <Schedules />;
    case 'types':
      return <Types />;
    case 'nodes':
      return <Nodes />;
    case 'events':
      return <Events />;
    case 'new':
      return <NewTask />;
    default:
      return <Overview />;
  }
}

const place = document.getElementById('page');
if (place !== null) {
  listenToKeys();
  follow();
  keepTime();
  begin();
  render(<Page />, place);
}
